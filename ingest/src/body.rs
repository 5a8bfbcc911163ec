//! Reading a request's body within bounds: its size, its size once decompressed, the time between its pieces, and the
//! bytes that all bodies hold together.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::error::Refused;

/// zstd windows up to 2^23 = 8 MiB, which is what its levels up to 19 use; a larger one would cost memory that the
/// size of the body does not show.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bodies from this size on are decompressed and parsed away from the threads that serve connections.
pub(crate) const LARGE: usize = 256 << 10;
/// Compressed bodies can become large from this size on.
const LARGE_COMPRESSED: usize = 8 << 10;
/// Up to this size a body is decompressed as it comes.
const LOOK_AHEAD: usize = 8 << 20;
/// How much is decompressed at once.
const CHUNK: usize = 64 << 10;

/// How many bytes all bodies may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// Nothing used yet.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    /// Bytes held now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Lease {
    fn grow(&mut self, more: usize) -> Result<(), Refused> {
        let limit = self.budget.limit;
        // Nothing is read under this number's protection, so no ordering is needed.
        self.budget
            .used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(more).filter(|sum| *sum <= limit))
            .map_err(|_| Refused::Busy("Too many large bodies at once, try again in a moment"))?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A whole body, decompressed, with its share of the budget.
#[derive(Debug)]
pub(crate) struct Body {
    /// The bytes.
    pub(crate) bytes: Bytes,
    lease: Lease,
}

/// What bounds a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes, on the wire and decompressed.
    pub(crate) bytes: usize,
    /// The longest time between two pieces.
    pub(crate) idle: Duration,
    /// The longest time from the first piece to the last.
    pub(crate) time: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Reads a body.
///
/// # Errors
/// 413 over the limit, 415 for an unknown encoding, 408 when the client stalls, 422 when it cannot be decompressed,
/// 429 when all bodies together hold too much.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: axum::body::Body,
    limits: Limits,
    budget: &Arc<Budget>,
) -> Result<Body, Refused> {
    let encoding = encoding(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.bytes as u64) {
        return Err(too_large(limits.bytes));
    }
    let mut lease = Lease { budget: budget.clone(), bytes: 0 };
    // Who sends a byte now and then must not hold a place for ever.
    let bytes =
        tokio::time::timeout(limits.time, collect(body, limits, &mut lease)).await.map_err(|_| Refused::TooSlow)??;
    let body = Body { bytes, lease };
    match encoding {
        Encoding::Identity => Ok(body),
        _ if body.bytes.is_empty() => Ok(body),
        _ if body.bytes.len() < LARGE_COMPRESSED => decompress(&body, encoding, limits.bytes),
        _ => tokio::task::spawn_blocking(move || decompress(&body, encoding, limits.bytes))
            .await
            .unwrap_or_else(|_| Err(Refused::Unavailable("The body could not be decompressed".to_owned()))),
    }
}

fn too_large(limit: usize) -> Refused {
    Refused::TooLarge(format!("The body must be at most {} MiB", limit >> 20))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refused> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(value) = values.next() else {
        return Ok(Encoding::Identity);
    };
    let name = value.as_bytes().trim_ascii();
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let encoding = if is("gzip") || is("x-gzip") {
        Encoding::Gzip
    } else if is("zstd") {
        Encoding::Zstd
    } else if is("identity") || name.is_empty() {
        Encoding::Identity
    } else {
        return Err(Refused::UnknownEncoding);
    };
    if values.next().is_some() { Err(Refused::UnknownEncoding) } else { Ok(encoding) }
}

/// A body that arrives in one piece, as small ones do, is not copied.
async fn collect(mut body: axum::body::Body, limits: Limits, lease: &mut Lease) -> Result<Bytes, Refused> {
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = tokio::time::timeout(limits.idle, body.frame()).await.map_err(|_| Refused::TooSlow)? {
        // The connection broke: nobody will read the answer.
        let frame = frame.map_err(|_| Refused::TooSlow)?;
        let Ok(piece) = frame.into_data() else { continue };
        let held = if all.is_empty() { first.len() } else { all.len() };
        if held + piece.len() > limits.bytes {
            return Err(too_large(limits.bytes));
        }
        lease.grow(piece.len())?;
        if held == 0 {
            first = piece;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
                first = Bytes::new();
            }
            all.extend_from_slice(&piece);
        }
    }
    Ok(if all.is_empty() { first } else { Bytes::from(all) })
}

fn decompress(body: &Body, encoding: Encoding, limit: usize) -> Result<Body, Refused> {
    let mut lease = Lease { budget: body.lease.budget.clone(), bytes: 0 };
    let compressed: &[u8] = &body.bytes;
    let bytes = match encoding {
        Encoding::Identity => return Ok(Body { bytes: body.bytes.clone(), lease }),
        Encoding::Gzip => expand(|| Ok(flate2::bufread::MultiGzDecoder::new(compressed)), limit, &mut lease),
        Encoding::Zstd => {
            let open = || -> io::Result<_> {
                let mut reader = zstd::stream::read::Decoder::with_buffer(compressed)?;
                reader.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(reader)
            };
            expand(open, limit, &mut lease)
        }
    }?;
    Ok(Body { bytes, lease })
}

fn undecodable() -> Refused {
    let loc = vec![agenttracer_model::Loc::Name("body".to_owned())];
    Refused::invalid("value_error", loc, "Value error, the body is not valid for its content-encoding")
}

/// Reads to the end, but never further than the limit and the budget allow.
///
/// What grows beyond [`LOOK_AHEAD`] is measured first: a vector that doubles would hold twice the limit before a body
/// that decompresses without end is refused.
fn expand<R: Read>(open: impl Fn() -> io::Result<R>, limit: usize, lease: &mut Lease) -> Result<Bytes, Refused> {
    let mut reader = open().map_err(|_| undecodable())?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; CHUNK];
    let mut measured = false;
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return Ok(Bytes::from(bytes)),
            Ok(read) => read,
            Err(_) => return Err(undecodable()),
        };
        if bytes.len() + read > limit {
            return Err(too_large(limit));
        }
        if bytes.len() + read > LOOK_AHEAD && !measured {
            measured = true;
            bytes.reserve_exact(measure(open().map_err(|_| undecodable())?, limit)? - bytes.len());
        }
        lease.grow(read)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// How many bytes there are, without keeping them.
fn measure(mut reader: impl Read, limit: usize) -> Result<usize, Refused> {
    let mut piece = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(read) if bytes + read > limit => return Err(too_large(limit)),
            Ok(read) => bytes += read,
            Err(_) => return Err(undecodable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_given_back() {
        let budget = Budget::new(100);
        let mut first = Lease { budget: budget.clone(), bytes: 0 };
        first.grow(60).unwrap();
        let mut second = Lease { budget: budget.clone(), bytes: 0 };
        assert!(matches!(second.grow(41), Err(Refused::Busy(_))));
        second.grow(40).unwrap();
        assert_eq!(budget.used(), 100);
        drop(first);
        assert_eq!(budget.used(), 40);
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
