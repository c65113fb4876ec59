//! Bodies: of answers, whole or in pieces, and of requests, read up to a bound.

use api::status::Status;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody};
use std::convert::Infallible;

use crate::limits::BODY_BYTES_MAX;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A whole body.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body whose pieces come when they are there.
pub fn pieces(stream: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    http_body_util::BodyExt::boxed_unsync(StreamBody::new(stream.map(|piece| Ok::<_, Infallible>(Frame::data(piece)))))
}

/// Reads a request's body.
///
/// # Errors
/// `413` when it is too large, `400` when the client went away in the middle.
pub async fn read<B>(body: B) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::too_large(BODY_BYTES_MAX)),
        Err(error) => Err(Status::bad_request(format!("error reading the request's body: {error}"))),
    }
}
