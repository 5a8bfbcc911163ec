//! Where a running server listens, for people and for programs that started it with port 0.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::StartError;

/// The addresses a server listens on; `None` for a listener that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// Where runs are taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest: Option<SocketAddr>,
    /// Where questions are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<SocketAddr>,
    /// Where the dashboard is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ui: Option<SocketAddr>,
}

impl Addresses {
    /// The listeners that are on, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        [("ingest", self.ingest), ("query", self.query), ("ui", self.ui)]
            .into_iter()
            .filter_map(|(name, address)| Some((name, address?)))
    }
}

/// `DATA_DIR/run/addresses.json` while a server is ready; not there before, and removed when it stops.
///
/// It describes a process, not data, so it is not synced: after a power loss nobody listens anyway.
pub(crate) struct AddressFile(PathBuf);

impl AddressFile {
    /// Removes what a killed server left behind, so that nobody waits at an address of the past.
    pub(crate) fn prepare(data_dir: &Path) -> Result<Self, StartError> {
        let dir = data_dir.join("run");
        std::fs::create_dir_all(&dir).map_err(|source| StartError::Io { file: dir.clone(), source })?;
        let file = Self(dir.join("addresses.json"));
        file.remove().map_err(|source| file.failed(source))?;
        Ok(file)
    }

    /// Says that the server is ready: a reader sees the whole file or none.
    pub(crate) fn publish(&self, addresses: &Addresses) -> Result<(), StartError> {
        let temporary = self.0.with_extension("json.tmp");
        let written = serde_json::to_vec(addresses)
            .map_err(io::Error::from)
            .and_then(|bytes| std::fs::write(&temporary, bytes))
            .and_then(|()| std::fs::rename(&temporary, &self.0));
        written.map_err(|source| self.failed(source))
    }

    /// Says that the server is no longer there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn failed(&self, source: io::Error) -> StartError {
        StartError::Io { file: self.0.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_there_only_while_a_server_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/addresses.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "left behind").unwrap();

        let file = AddressFile::prepare(dir.path()).unwrap();
        assert!(!path.exists());
        let addresses = Addresses { ingest: Some(([127, 0, 0, 1], 41231).into()), ..Addresses::default() };
        file.publish(&addresses).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), r#"{"ingest":"127.0.0.1:41231"}"#);
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(!path.exists());
    }
}
