//! A bound on what one connection may cost in frames that carry nothing.
//!
//! h2 limits streams, resets and header sizes itself, but answers every PING and SETTINGS: 50,000
//! of them cost the sender a few hundred kilobytes and this node the work. So the bytes that
//! arrive are walked frame by frame (RFC 9113, section 4.1; headers only, payloads are skipped)
//! and every frame that carries nothing takes a token. Tokens come back with time and with bytes
//! that do carry something, either way, because honest window updates and BDP pings grow with
//! those.
//!
//! Deliberately absent: any check of the protocol itself, which is h2's.

use std::time::Duration;

use tokio::time::Instant;

/// How many tokens there are and how they come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodLimits {
    /// Tokens of a fresh connection, and the most it can save up.
    pub burst_frames: u64,
    /// Tokens given back each second.
    pub frames_per_second: u64,
    /// Bytes carried, in or out, that give one token back.
    pub bytes_per_frame: u64,
}

impl Default for FloodLimits {
    /// 10,000 frames at once, then 1,000 a second: 17 bytes and a few microseconds each, so below
    /// one percent of a core. A window update for every 2 KiB is more than any client sends.
    fn default() -> Self {
        Self {
            burst_frames: 10_000,
            frames_per_second: 1_000,
            bytes_per_frame: 2_048,
        }
    }
}

/// More idle frames came than the limits allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side floods the connection with frames that carry nothing")]
pub struct Flood;

/// The client's first bytes (RFC 9113, section 3.4).
const PREFACE_BYTES: u64 = 24;
const HEADER_BYTES: usize = 9;
const TYPE_DATA: u8 = 0x0;
const TYPE_HEADERS: u8 = 0x1;
const FLAG_END_STREAM: u8 = 0x1;
const FLAG_ACK: u8 = 0x1;
/// A DATA frame below this, unless it ends its stream, carries next to nothing.
const DATA_BYTES_MIN: u64 = 16;

/// Walks one direction of a connection. Holds at most one frame header.
#[derive(Debug)]
pub struct FrameMeter {
    limits: FloodLimits,
    tokens: u64,
    refilled_at: Instant,
    carried_bytes: u64,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    skip_bytes: u64,
    opened: bool,
}

impl FrameMeter {
    /// Watches a client that will begin with the preface.
    #[must_use]
    pub fn of_client(limits: FloodLimits, now: Instant) -> Self {
        Self {
            skip_bytes: PREFACE_BYTES,
            ..Self::of_server(limits, now)
        }
    }

    /// Watches a server.
    #[must_use]
    pub fn of_server(limits: FloodLimits, now: Instant) -> Self {
        Self {
            limits,
            tokens: limits.burst_frames,
            refilled_at: now,
            carried_bytes: 0,
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            skip_bytes: 0,
            opened: false,
        }
    }

    /// Whether a first frame has arrived whole, so that keepalive has taken over from here.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opened
    }

    /// Counts bytes that were sent to the other side.
    pub fn sent(&mut self, bytes: usize) {
        self.carry(bytes as u64);
    }

    /// Walks bytes that arrived, in order.
    ///
    /// # Errors
    ///
    /// [`Flood`] when the tokens are used up; the connection is to be ended.
    pub fn received(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        self.refill(now);
        while !bytes.is_empty() {
            if self.skip_bytes > 0 {
                let skipped = self.skip_bytes.min(bytes.len() as u64);
                self.skip_bytes -= skipped;
                bytes = bytes
                    .get(usize::try_from(skipped).unwrap_or(usize::MAX)..)
                    .unwrap_or(&[]);
                continue;
            }
            let wanted = (HEADER_BYTES - self.header_bytes).min(bytes.len());
            let (taken, rest) = bytes.split_at(wanted);
            self.header[self.header_bytes..self.header_bytes + wanted].copy_from_slice(taken);
            self.header_bytes += wanted;
            bytes = rest;
            if self.header_bytes == HEADER_BYTES {
                self.header_bytes = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.header;
        let length = u64::from(u32::from_be_bytes([0, a, b, c]));
        self.skip_bytes = length;
        self.opened = true;
        let ends_stream = flags & FLAG_END_STREAM != 0;
        let carries = match kind {
            TYPE_DATA => length >= DATA_BYTES_MIN || ends_stream,
            TYPE_HEADERS => true,
            // Answers to what this side asked; it asks rarely, but a flood of answers is no better.
            _ => false,
        };
        if carries {
            self.carry(length);
            return Ok(());
        }
        debug_assert_eq!(FLAG_ACK, FLAG_END_STREAM, "one bit, two names");
        self.tokens = self.tokens.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }

    fn carry(&mut self, bytes: u64) {
        self.carried_bytes = self.carried_bytes.saturating_add(bytes);
        let per_frame = self.limits.bytes_per_frame.max(1);
        self.give(self.carried_bytes / per_frame);
        self.carried_bytes %= per_frame;
    }

    fn refill(&mut self, now: Instant) {
        let per_second = self.limits.frames_per_second.max(1);
        let since = now.saturating_duration_since(self.refilled_at);
        let earned = u64::try_from(since.as_micros())
            .unwrap_or(u64::MAX)
            .saturating_mul(per_second)
            / 1_000_000;
        if earned > 0 {
            self.give(earned);
            // Only the time that was paid for is used up, or short gaps would never add up.
            self.refilled_at +=
                Duration::from_micros(earned.saturating_mul(1_000_000) / per_second);
        }
    }

    fn give(&mut self, tokens: u64) {
        self.tokens = self
            .tokens
            .saturating_add(tokens)
            .min(self.limits.burst_frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    fn data(length: u32) -> Vec<u8> {
        let [_, a, b, c] = length.to_be_bytes();
        let mut frame = vec![a, b, c, 0, 0, 0, 0, 0, 1];
        frame.resize(9 + length as usize, 0);
        frame
    }

    #[test]
    fn a_flood_of_pings_ends() {
        let now = Instant::now();
        let mut meter = FrameMeter::of_server(FloodLimits::default(), now);
        let passed = (0..50_000)
            .take_while(|_| meter.received(&PING, now).is_ok())
            .count();
        assert_eq!(passed, 10_000);
    }

    #[test]
    fn the_preface_and_split_headers_are_walked() {
        let now = Instant::now();
        let limits = FloodLimits {
            burst_frames: 3,
            ..FloodLimits::default()
        };
        let mut meter = FrameMeter::of_client(limits, now);
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for _ in 0..3 {
            bytes.extend(PING);
            bytes.extend(data(100));
        }
        assert!(!meter.is_open());
        for byte in bytes {
            meter.received(&[byte], now).unwrap();
        }
        assert!(meter.is_open());
        assert_eq!(meter.received(&PING, now), Err(Flood));
    }

    #[test]
    fn time_and_traffic_give_tokens_back() {
        let start = Instant::now();
        let mut meter = FrameMeter::of_server(FloodLimits::default(), start);
        // 1,000 a second, for ever.
        for ms in 0..60_000 {
            meter
                .received(&PING, start + Duration::from_millis(ms))
                .unwrap();
        }
        // A window update for every 2 KiB sent, with no time passing.
        let mut meter = FrameMeter::of_server(FloodLimits::default(), start);
        for _ in 0..100_000 {
            meter.sent(2_048);
            meter.received(&PING, start).unwrap();
        }
    }

    #[test]
    fn crumbs_of_data_count() {
        let now = Instant::now();
        let mut meter = FrameMeter::of_server(FloodLimits::default(), now);
        let crumb = data(1);
        assert!((0..50_000).any(|_| meter.received(&crumb, now).is_err()));
        let mut meter = FrameMeter::of_server(FloodLimits::default(), now);
        let slice = data(100);
        assert!((0..50_000).all(|_| meter.received(&slice, now).is_ok()));
    }
}
