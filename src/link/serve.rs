//! The HTTP/2 bounds of every server that this node runs.

use tonic::transport::Server;

use crate::limits::{KEEPALIVE_INTERVAL, KEEPALIVE_TIME_MAX};

/// The largest HTTP/2 frame. Larger frames carry large bodies with fewer wake-ups.
pub const HTTP2_FRAME_BYTES_MAX: u32 = 1 << 20;
/// Streams of one connection at a time.
pub const STREAMS_MAX: u32 = 64;
/// All headers of one request, uncompressed.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Resets that are pending or were caused by the other side's errors.
pub const RESETS_MAX: usize = 20;
/// Bytes in flight on one stream: 2 MiB fill 100 Mbit/s at 160 ms.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// Bytes in flight on one connection: a session and an attachment beside it.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// A tonic server with every bound set; add services and serve with the incoming connections of
/// [`super::accept`] or [`super::local`].
#[must_use]
pub fn server_builder() -> Server {
    Server::builder()
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIME_MAX))
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(RESETS_MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .accept_http1(false)
}
