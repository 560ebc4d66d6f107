//! The HTTP/2 bounds of every server that this node runs.

use std::time::Duration;

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
    server_builder_with(KEEPALIVE_INTERVAL, KEEPALIVE_TIME_MAX)
}

/// [`server_builder`] with another keepalive: how often a quiet connection is asked, and how soon it
/// must answer. It also ends connections that stall in the middle of a frame.
#[must_use]
pub fn server_builder_with(keepalive_interval: Duration, keepalive_time_max: Duration) -> Server {
    Server::builder()
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(keepalive_interval))
        .http2_keepalive_timeout(Some(keepalive_time_max))
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(RESETS_MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .accept_http1(false)
}
