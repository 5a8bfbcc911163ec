use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::Exit;

/// Where the output belongs.
pub(crate) const HELP: &str = "\
For the shell that runs, at once:
  bash  source <(agenttracer completions bash)
  zsh   source <(agenttracer completions zsh)
  fish  agenttracer completions fish | source

For every new one:
  bash  agenttracer completions bash > ~/.local/share/bash-completion/completions/agenttracer
  zsh   agenttracer completions zsh > a file `_agenttracer` in a directory of $fpath
  fish  agenttracer completions fish > ~/.config/fish/completions/agenttracer.fish";

/// Prints a script that makes a shell complete commands, flags and the values of closed lists.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut command: Command) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "agenttracer", &mut script);
        io::Write::write_all(&mut io::stdout().lock(), &script)?;
        Ok(Exit::Done)
    }
}
