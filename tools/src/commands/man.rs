use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man as Page;

use crate::exit::Exit;
use crate::output;

/// Prints the manual page of agenttracer, or writes those of all commands into a directory.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// A directory for the pages, as agenttracer-runs.1; it is made when it is not there
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, mut command: Command) -> anyhow::Result<Exit> {
        // Names of commands within commands, as `agenttracer keys create`, are made when it is built.
        command.build();
        let Some(dir) = self.dir else {
            let mut text = Vec::new();
            Page::new(command).render(&mut text)?;
            io::stdout().lock().write_all(&text)?;
            return Ok(Exit::Done);
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let mut waiting = vec![command];
        let mut pages = 0;
        while let Some(command) = waiting.pop() {
            waiting.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
            let page = Page::new(command);
            let file = dir.join(page.get_filename());
            let mut text = Vec::new();
            page.render(&mut text)?;
            std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
            pages += 1;
        }
        output::note(&format!("{} in {}", output::count(pages, "page", "pages"), dir.display()));
        Ok(Exit::Done)
    }
}
