//! Exit codes: what a script may rely on.

use std::process::ExitCode;

use agenttracer_server::StartError;
use agenttracer_server::config::ConfigError;
use agenttracer_storage::OpenError;
use agenttracer_storage::backup::BackupError;

use crate::client::ClientError;

/// The part of every `--help` that documents the codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0   done, and nothing is wrong
  1   it did not work (directory in use, address taken, disk failing), or `verify` found something wrong
  2   acknowledged data, or a backup, is damaged or missing; nothing was changed, and the message names the file, the
      place and the next step
  64  the command line, the environment or the configuration file says what it cannot say
  69  a command that asks a server could not reach it, or got no answer";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Damaged,
    Usage,
    /// Of `compare`, as the next.
    Significant,
    NotEnoughData,
    /// No server, or none that answers.
    Unavailable,
    /// A signal came before it was done.
    Interrupted,
    Terminated,
}

/// A signal came before a command was done that listens to them; others end as the system ends them.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// `SIGINT` or `SIGTERM`.
    pub(crate) signal: &'static str,
    /// What was done by then, and how to do the rest.
    pub(crate) what: String,
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ended by {}: {}", self.signal, self.what)
    }
}

impl std::error::Error for Interrupted {}

impl Exit {
    /// The code of a command that ended with `error`.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            match cause.downcast_ref() {
                Some(ClientError::Usage(_)) => return Self::Usage,
                Some(ClientError::NotFound(_)) => return Self::Failed,
                Some(ClientError::Refused(_) | ClientError::Unavailable(_)) => return Self::Unavailable,
                None => {}
            }
            match cause.downcast_ref() {
                Some(Interrupted { signal: "SIGTERM", .. }) => return Self::Terminated,
                Some(Interrupted { .. }) => return Self::Interrupted,
                None => {}
            }
            if cause.is::<ConfigError>() {
                return Self::Usage;
            }
            let damaged = match (cause.downcast_ref::<StartError>(), cause.downcast_ref::<BackupError>()) {
                (Some(error), _) => error.is_damage(),
                (_, Some(error)) => error.is_damage(),
                _ => matches!(cause.downcast_ref(), Some(OpenError::Damaged(_))),
            };
            if damaged {
                return Self::Damaged;
            }
        }
        Self::Failed
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Damaged => 2,
            // EX_USAGE of sysexits.h; clap's own 2 would be taken for damage.
            Exit::Usage => 64,
            Exit::Significant => 1,
            Exit::NotEnoughData => 2,
            // EX_UNAVAILABLE.
            Exit::Unavailable => 69,
            // 128 and the number of the signal, as shells say it of a program that was ended by one.
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use agenttracer_model::Position;
    use agenttracer_storage::Damage;
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_gives_its_code() {
        let damage = || {
            OpenError::Damaged(Box::new(Damage {
                file: PathBuf::from("log/0.seg"),
                offsets: 4096..8192,
                positions: Position::new(0)..Position::new(4),
                what: "CRC".into(),
            }))
        };
        let locked = || OpenError::Locked(PathBuf::from("data"));
        for (error, code) in [
            (anyhow::Error::from(damage()).context("opening"), Exit::Damaged),
            (anyhow::Error::from(StartError::from(damage())), Exit::Damaged),
            (anyhow::Error::from(BackupError::from(damage())), Exit::Damaged),
            (anyhow::Error::from(BackupError::Bad { file: "a".into(), what: "b".into() }), Exit::Damaged),
            (anyhow::Error::from(BackupError::from(locked())), Exit::Failed),
            (anyhow::Error::from(StartError::from(locked())), Exit::Failed),
            (anyhow::Error::from(ConfigError::NothingToServe), Exit::Usage),
            (anyhow::Error::from(Interrupted { signal: "SIGINT", what: "a".into() }), Exit::Interrupted),
            (anyhow::Error::from(Interrupted { signal: "SIGTERM", what: "a".into() }), Exit::Terminated),
            (anyhow::Error::from(ClientError::Usage("a".into())).context("asking"), Exit::Usage),
            (anyhow::Error::from(ClientError::NotFound("a".into())), Exit::Failed),
            (anyhow::Error::from(ClientError::Refused("a".into())), Exit::Unavailable),
            (anyhow::Error::from(ClientError::Unavailable("a".into())), Exit::Unavailable),
        ] {
            assert_eq!(Exit::of(&error), code, "{error:?}");
        }
        let io = std::fs::read("/no/such/file").context("reading").unwrap_err();
        assert_eq!(Exit::of(&io), Exit::Failed);
    }
}
