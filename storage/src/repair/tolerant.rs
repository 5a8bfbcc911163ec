use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, Mapping};

/// What a disk reads or fails to read at once, at most.
const SECTOR_BYTES: u64 = 4096;

/// A disk whose bad sectors read as zeros, so that what stands around them can be saved.
pub(super) struct TolerantDisk(Arc<dyn Disk>);

impl TolerantDisk {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self(disk)
    }
}

impl Disk for TolerantDisk {
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(TolerantFile(self.0.open_read(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        self.0.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }

    fn map(&self, path: &Path) -> io::Result<Mapping> {
        self.0.map(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.0.lock(path)
    }
}

struct TolerantFile(Arc<dyn DiskFile>);

impl TolerantFile {
    /// Reads sector by sector; those that cannot be read are zeros.
    fn read_around(&self, buf: &mut [u8], offset: u64, error: io::Error) -> io::Result<usize> {
        const EIO: i32 = 5;
        if error.raw_os_error() != Some(EIO) {
            return Err(error);
        }
        let end = self.0.len()?.min(offset + buf.len() as u64);
        let mut at = offset;
        while at < end {
            let piece_end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            let piece = &mut buf[(at - offset) as usize..(piece_end - offset) as usize];
            if let Err(error) = self.0.read_exact_at(piece, at) {
                if error.raw_os_error() != Some(EIO) {
                    return Err(error);
                }
                tracing::warn!(offset = at, bytes = piece.len(), "these bytes cannot be read");
                piece.fill(0);
            }
            at = piece_end;
        }
        Ok(end.saturating_sub(offset) as usize)
    }
}

impl DiskFile for TolerantFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.0.read_at(buf, offset) {
            Err(error) => self.read_around(buf, offset, error),
            read => read,
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20,000 bytes of ones, of which 5,000..9,000 lie on bad sectors.
    struct Scratched;

    impl DiskFile for Scratched {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let end = (offset + buf.len() as u64).min(20_000);
            if offset < 9_000 && end > 5_000 {
                return Err(io::Error::from_raw_os_error(5));
            }
            let len = end.saturating_sub(offset) as usize;
            buf[..len].fill(1);
            Ok(len)
        }
        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("repair reads it only")
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            unreachable!("repair reads it only")
        }
        fn len(&self) -> io::Result<u64> {
            Ok(20_000)
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_bad_sectors_read_as_zeros() {
        let file = TolerantFile(Arc::new(Scratched));
        let mut bytes = vec![7; 30_000];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 20_000);
        let zeros: Vec<_> = (0..20_000).filter(|at| bytes[*at] == 0).collect();
        assert_eq!((zeros[0], zeros.len(), zeros[zeros.len() - 1]), (4096, 8192, 12_287));
        assert_eq!(file.read_at(&mut bytes[..10], 19_995).unwrap(), 5);
    }
}
