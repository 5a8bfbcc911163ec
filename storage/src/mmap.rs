//! Mapping sealed files into memory: the only `unsafe` of the program.
//!
//! A map is undefined behaviour when the file changes under it and SIGBUS when it shrinks or when the disk fails to
//! deliver a page. So only *sealed* files are mapped: they are never written or shortened again, only unlinked, which
//! leaves a map intact. A page that the disk cannot deliver still kills the process: `docs/durability.md` tells what
//! remains of that, and why point reads and scrubbing use pread.
#![expect(unsafe_code, reason = "mapping a file is unsafe; sealed files never change, see above")]

use std::fs::File;
use std::io;

use crate::disk::Mapping;

/// Maps a whole file that nobody will change or shorten any more. An empty file maps to no bytes.
///
/// The mapping stays valid after `file` is closed and after the file was removed.
///
/// # Errors
/// When the file is longer than the address space, or what the operating system says.
pub(crate) fn map(file: &File) -> io::Result<Mapping> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(Mapping::from(Vec::new()));
    }
    let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    // SAFETY: the caller passes a sealed file: nothing in this program writes or truncates it any more, and the lock of
    // the data directory keeps other instances away. The length is that of the file, so no page lies beyond its end.
    let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
    Ok(Mapping::from(map))
}

// SAFETY: a `Mapping` is an `Arc` of a slice or of a map. Both give the same address at every `deref`, wherever the
// `Mapping` itself moves and however often it is cloned, and nothing can change what is behind the `Arc`.
unsafe impl stable_deref_trait::StableDeref for Mapping {}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_mapping_outlives_the_file_and_its_handle() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"sealed").unwrap();
        let mapping = map(file.as_file()).unwrap();
        drop(file);
        assert_eq!(&mapping[..], b"sealed");
    }

    #[test]
    fn an_empty_file_maps_to_no_bytes() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(&map(&file).unwrap()[..], b"");
    }
}
