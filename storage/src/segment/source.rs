use std::io;
use std::sync::Arc;

use crate::Payload;
use crate::disk::{DiskFile, Mapping};

/// Where a walk takes the bytes of a file from.
pub(crate) enum Source {
    /// A mapped, sealed file.
    Mapped(Mapping),
    /// A file read by pread, some bytes ahead.
    File { file: Arc<dyn DiskFile>, window: Vec<u8>, start: u64, ahead: usize },
}

impl Source {
    /// Reads `file` by pread, at least `ahead` bytes at a time.
    pub(crate) fn file(file: Arc<dyn DiskFile>, ahead: usize) -> Self {
        Self::File { file, window: Vec::new(), start: 0, ahead }
    }

    /// The bytes from `offset` on, `len` of them, or fewer where `limit` or the file ends.
    pub(crate) fn at(&mut self, offset: u64, len: usize, limit: u64) -> io::Result<&[u8]> {
        let end = limit.min(offset.saturating_add(len as u64)).max(offset);
        match self {
            Self::Mapped(mapping) => {
                let whole = mapping.len() as u64;
                Ok(&mapping[offset.min(whole) as usize..end.min(whole) as usize])
            }
            Self::File { file, window, start, ahead } => {
                if offset < *start || end > *start + window.len() as u64 {
                    let wanted = limit.min(offset.saturating_add(len.max(*ahead) as u64)).max(offset) - offset;
                    window.resize(wanted as usize, 0);
                    *start = offset;
                    let mut done = 0;
                    while done < window.len() {
                        match file.read_at(&mut window[done..], offset + done as u64) {
                            Ok(0) => break,
                            Ok(read) => done += read,
                            Err(error) => {
                                window.clear();
                                return Err(error);
                            }
                        }
                    }
                    window.truncate(done);
                }
                let from = ((offset - *start) as usize).min(window.len());
                let to = ((end - *start) as usize).min(window.len());
                Ok(&window[from..to])
            }
        }
    }

    /// The `len` bytes at `offset` as a payload of their own. They were read by [`at`](Self::at) just before.
    pub(crate) fn payload(&mut self, offset: u64, len: usize, limit: u64) -> io::Result<Payload> {
        if let Self::Mapped(mapping) = self {
            let from = offset as usize;
            return Ok(Payload::Mapped(mapping.clone(), from..from + len));
        }
        Ok(Payload::Memory(Arc::from(self.at(offset, len, limit)?)))
    }
}
