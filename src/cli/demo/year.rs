//! `liaison demo --scenario year-2025`: the year 2025 of two pairs, replayed at full speed through
//! real nodes, counted by both sides, and proven.
//!
//! What is said and when is in [`crate::model::sample::year`]. The four nodes run within this
//! process, each pair by a clock that the replay sets; all the rest is as it always is: TLS, disks,
//! desks. Certificates are judged by the machine's clock.
//!
//! - [`hands`]: the clock.
//! - [`replay`]: each message sent when it was said, and when what it answers is known.
//! - [`joint`]: the figures of both sides, and the joint report that both sign.
//! - [`board`]: what was found, beside what was published.

mod board;
mod hands;
mod joint;
mod replay;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::hands::Hands;
use self::joint::Joint;
use super::sides::{self, Sides};
use super::verdict::{self, Judged};
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::{Bar, Screen};
use crate::exchange::clock::Clock;
use crate::model::sample::year::{ENDS_AT, Year};

/// From the end of the year to the day on which it is counted: 5 January, in the morning.
const COUNTED_AFTER_MS: i64 = (4 * 24 + 10) * 3_600_000;

/// A pair with its year.
#[derive(Debug)]
struct Pair {
    year: Year,
    sides: Sides,
    hands: Arc<Hands>,
}

/// What came of a pair's year.
#[derive(Debug)]
struct Lived {
    joint: Joint,
    judged: Judged,
}

/// Replays the year in a directory; then the nodes keep running, unless it is once. Until told to
/// stop.
pub(super) async fn show(
    dir: &Path,
    once: bool,
    stop: impl Future<Output = ()>,
    screen: Screen,
) -> Done {
    sides::fresh(dir, screen)?;
    sides::write_samples(&dir.join("samples"))?;
    let mut pairs = Vec::new();
    for year in Year::pairs() {
        pairs.push(Pair::make(dir, year)?);
    }
    board::introduce(&pairs, screen)?;
    // Whatever ends it, the nodes are stopped behind it.
    let outcome = tokio::select! {
        outcome = live(&mut pairs, once, screen) => outcome,
        () = stop => Ok(Exit::Ok),
    };
    if !once {
        screen.note("\nstopping all nodes");
    }
    for pair in &mut pairs {
        pair.sides.stop().await;
    }
    outcome
}

async fn live(pairs: &mut [Pair], once: bool, screen: Screen) -> Done {
    let begun = Instant::now();
    replay_all(pairs).await?;
    let replayed = begun.elapsed();
    let lived = judge_all(pairs).await?;
    let mut is_clean = true;
    for (pair, lived) in pairs.iter().zip(&lived) {
        is_clean &= board::tell(pair, lived, screen)?;
    }
    board::end(pairs, (replayed, begun.elapsed()), screen)?;
    if !is_clean {
        return Err(Failure::new(
            Exit::Negative,
            "something is not as it was published, or wrong with what was recorded",
        ));
    }
    if once {
        board::suggest_starting(pairs, screen)?;
        return Ok(Exit::Ok);
    }
    // From here on the nodes are ordinary ones, by the machine's clock.
    for pair in &mut *pairs {
        pair.sides.stop().await;
        pair.sides.start().await?;
    }
    board::suggest_looking(pairs, screen)?;
    match pairs {
        [one, other] => tokio::select! {
            outcome = one.sides.tell_ends(screen) => outcome,
            outcome = other.sides.tell_ends(screen) => outcome,
        },
        _ => Ok(Exit::Ok),
    }
}

/// Starts all nodes and has both pairs live their year side by side.
async fn replay_all(pairs: &mut [Pair]) -> Result<(), Failure> {
    for pair in &mut *pairs {
        pair.start().await?;
    }
    let total: usize = pairs.iter().map(|pair| pair.year.events.len()).sum();
    let bar = Bar::items("the year 2025", total as u64);
    match pairs {
        [one, other] => {
            tokio::try_join!(one.replay(&bar), other.replay(&bar))?;
        }
        pairs => {
            for pair in pairs {
                pair.replay(&bar).await?;
            }
        }
    }
    Ok(())
}

/// Has both pairs count their year and prove it, side by side.
async fn judge_all(pairs: &[Pair]) -> Result<Vec<Lived>, Failure> {
    let _waiting = Bar::waiting("counting the year, and proving it");
    match pairs {
        [one, other] => {
            let (one, other) = tokio::try_join!(Box::pin(one.judge()), Box::pin(other.judge()))?;
            Ok(vec![one, other])
        }
        pairs => {
            let mut lived = Vec::new();
            for pair in pairs {
                lived.push(pair.judge().await?);
            }
            Ok(lived)
        }
    }
}

impl Pair {
    /// Makes both sides, each in a directory below that of the pair.
    fn make(dir: &Path, year: Year) -> Result<Self, Failure> {
        let short = |at: usize| {
            let name: &str = year.nodes[at].as_str();
            name.split('.').next().unwrap_or_default().to_owned()
        };
        let dir = dir.join(format!("{}-{}", short(0), short(1)));
        let nodes = [year.nodes[0].as_str(), year.nodes[1].as_str()];
        let sides = Sides::make_pair(&dir, nodes, year.places)?;
        let begins = year.events.first().map_or(0, |event| event.at);
        Ok(Self {
            sides,
            hands: Arc::new(Hands::at(begins)),
            year,
        })
    }

    async fn start(&mut self) -> Result<(), Failure> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.hands) as Arc<dyn Clock>;
        self.sides.start_here(&clock).await
    }

    async fn replay(&self, bar: &Bar) -> Result<(), Failure> {
        replay::replay(&self.year, &self.sides, &self.hands, bar).await?;
        verdict::settle(&self.sides).await
    }

    /// Counts the year on both sides, has both sign it, and judges both exports.
    async fn judge(&self) -> Result<Lived, Failure> {
        self.hands.set(ENDS_AT + COUNTED_AFTER_MS);
        let joint = joint::agree(self).await?;
        let judged = verdict::reach(&self.sides, false).await?;
        Ok(Lived { joint, judged })
    }
}

/// A length of time in seconds, for people.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
