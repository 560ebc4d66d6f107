//! The bytes that pass between this node and its peers, counted beneath TLS: one relaxed addition for
//! each read and write.
//!
//! Of the whole process, since a process runs one node. Only figures are made of it; nothing is decided
//! by it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

static BYTES_IN: AtomicU64 = AtomicU64::new(0);
static BYTES_OUT: AtomicU64 = AtomicU64::new(0);

/// What passed since the process began, on connections of peers, from their handshake on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Bytes received, as TLS records.
    pub bytes_in: u64,
    /// Bytes sent, as TLS records.
    pub bytes_out: u64,
}

/// What passed up to now.
#[must_use]
pub fn counted() -> Counted {
    Counted {
        bytes_in: BYTES_IN.load(Ordering::Relaxed),
        bytes_out: BYTES_OUT.load(Ordering::Relaxed),
    }
}

/// A TCP connection whose bytes can be counted.
#[derive(Debug)]
pub struct Wire {
    tcp: TcpStream,
    counts: bool,
}

impl Wire {
    /// A connection that is not counted: nobody knows yet who is there.
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, counts: false }
    }

    /// A peer is there: from now on its bytes are counted.
    pub(super) fn is_of_peer(&mut self) {
        self.counts = true;
    }

    fn sent(&self, written: &Poll<io::Result<usize>>) {
        if self.counts
            && let Poll::Ready(Ok(bytes)) = written
        {
            BYTES_OUT.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        if self.counts {
            let bytes = buffer.filled().len().saturating_sub(before);
            BYTES_IN.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.sent(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
