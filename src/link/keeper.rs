//! Keeping a link up: dialling with backoff, waiting while it is held or up already.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::dial::{DialLimits, Endpoint, dial_peer};
use super::reload::Reloader;
use super::tls::ExchangeTls;
use super::{stream, transfer};
use crate::exchange::session;
use crate::exchange::{Exchange, Link};
use crate::limits::{FRAME_BYTES_MAX, SESSION_OPEN_TIME_MAX};
use crate::proto::v1::exchange_service_client::ExchangeServiceClient;

/// A session that lasted this long was a good one: the next failure waits little again.
const GOOD_SESSION: Duration = Duration::from_secs(30);

/// Dials a peer again and again until `shutdown`.
#[derive(Debug)]
pub struct Keeper {
    /// The node.
    pub exchange: Arc<Exchange>,
    /// The link to keep up.
    pub link: Arc<Link>,
    /// Where the peer is.
    pub endpoints: Vec<Endpoint>,
    /// The material in use.
    pub tls: Arc<Reloader<ExchangeTls>>,
    /// Ends everything.
    pub shutdown: CancellationToken,
}

impl Keeper {
    /// Runs until `shutdown`.
    pub async fn run(self) {
        let mut backoff = Backoff::standard();
        while !self.shutdown.is_cancelled() {
            if !self.may_dial().await {
                return;
            }
            let started = tokio::time::Instant::now();
            let reason = self.once().await;
            if self.shutdown.is_cancelled() {
                return;
            }
            self.link.note_down(&reason);
            if started.elapsed() >= GOOD_SESSION {
                backoff.reset();
            }
            let random = self
                .exchange
                .entropy()
                .bytes()
                .map_or(0, u64::from_be_bytes);
            let wait = backoff.next(random);
            if !self.link.presence().up && backoff.failures().is_power_of_two() {
                tracing::warn!(
                    peer = %self.link.peer, %reason, failures = backoff.failures(),
                    "link down, dialling again"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    /// Waits while the link is held, or up by the peer's dialling. `false` at shutdown.
    async fn may_dial(&self) -> bool {
        let mut heads = self.link.watch_head();
        let mut presence = self.link.watch_presence();
        let free = async {
            heads.wait_for(|head| head.held.is_none()).await.is_ok()
                && presence.wait_for(|presence| !presence.up).await.is_ok()
        };
        tokio::select! {
            free = free => free,
            () = self.shutdown.cancelled() => false,
        }
    }

    /// Dials, runs one session, and says why it ended.
    async fn once(&self) -> String {
        let limits = DialLimits::default();
        let dialled = tokio::select! {
            dialled = dial_peer(&self.tls, &self.link.peer, &self.endpoints, &limits) => dialled,
            () = self.shutdown.cancelled() => return "going down".to_owned(),
        };
        let dialled = match dialled {
            Ok(dialled) => dialled,
            Err(error) => return chain(&error),
        };
        let mut client = ExchangeServiceClient::new(dialled.channel.clone())
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX);
        let opened = tokio::select! {
            opened = tokio::time::timeout(SESSION_OPEN_TIME_MAX, stream::open(&mut client)) => opened,
            () = self.shutdown.cancelled() => return "going down".to_owned(),
        };
        let Ok(opened) = opened else {
            return format!(
                "the peer at {} takes the connection and does not open a session",
                dialled.info.remote
            );
        };
        let channel = match opened {
            Ok(channel) => channel,
            Err(status) => {
                let text = crate::model::text::escape(status.message()).into_owned();
                return format!(
                    "the peer at {} did not open a session ({:?}: {text}); if its log speaks of \
                     a refused certificate, compare the CA in the peer cards",
                    dialled.info.remote,
                    status.code()
                );
            }
        };
        let own = self.exchange.node();
        let stop = self.shutdown.child_token();
        let running = session::run(&self.exchange, &self.link, own, channel, &stop);
        tokio::pin!(running);
        let carrying = transfer::run(
            Arc::clone(&self.exchange),
            Arc::clone(&self.link),
            client.clone(),
        );
        let carrying = tokio::spawn(carrying);
        let end = tokio::select! {
            end = &mut running => end,
            // It ends in order, so that it leaves its place on the link.
            () = dialled.info.ending.retiring() => {
                stop.cancel();
                running.await
            }
        };
        carrying.abort();
        tracing::info!(peer = %self.link.peer, %end, "session ended");
        end.to_string()
    }
}

/// An error with what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
