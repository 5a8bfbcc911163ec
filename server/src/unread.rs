//! What a client still sends of a body that nobody reads any more.
//!
//! A request can be refused before its body was read: the server is busy, the key is unknown, the body is too long. Closing the
//! connection then would reset it under the client's hands, and the client would never see the answer that tells it why,
//! and when to come back. So the rest is read and thrown away, within bounds, before the answer is sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

/// The longest rest that is read: the longest body that is taken at all.
const MOST_BYTES: usize = 64 << 20;
/// How long the client may be silent.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long all of the rest may take.
const MOST_TIME: Duration = Duration::from_secs(10);

/// A body that goes back to its owner when its reader lets go of it before its end.
pub(crate) struct Lent<B: Body + Unpin> {
    body: Option<B>,
    was_asked_for: bool,
    back: Option<oneshot::Sender<Rest<B>>>,
}

struct Rest<B> {
    body: B,
    was_asked_for: bool,
}

/// Who gets a [`Lent`] body back.
pub(crate) struct Owner<B> {
    back: oneshot::Receiver<Rest<B>>,
    waits_to_be_asked: bool,
}

/// Lends a body. A client that `waits_to_be_asked` (`Expect: 100-continue`) sends nothing before somebody reads.
pub(crate) fn lend<B: Body + Unpin>(body: B, waits_to_be_asked: bool) -> (Lent<B>, Owner<B>) {
    let (sender, back) = oneshot::channel();
    let lent = Lent { body: Some(body), was_asked_for: false, back: Some(sender) };
    (lent, Owner { back, waits_to_be_asked })
}

impl<B: Body + Unpin> Owner<B> {
    /// Throws away what nobody has read, as far as the bounds go.
    pub(crate) async fn discard(mut self) {
        // A reader that has not let go yet needs the body itself.
        let Ok(Rest { mut body, was_asked_for }) = self.back.try_recv() else { return };
        if self.waits_to_be_asked && !was_asked_for {
            return;
        }
        let discarding = async {
            let mut bytes = 0;
            while bytes <= MOST_BYTES
                && let Ok(Some(Ok(frame))) = tokio::time::timeout(PATIENCE, body.frame()).await
            {
                bytes += frame.data_ref().map_or(0, bytes::Buf::remaining);
            }
        };
        let _ = tokio::time::timeout(MOST_TIME, discarding).await;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Lent<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.was_asked_for = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body + Unpin> Drop for Lent<B> {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            let _ = back.send(Rest { body, was_asked_for: self.was_asked_for });
        }
    }
}
