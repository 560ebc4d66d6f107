//! Both sides of the demo, made as administrators make them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::host::Host;
use super::process;
use crate::cli::connect::{Desk, Target};
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::{init, peer, status};
use crate::crypto::keys::Protection;
use crate::exchange::clock::Clock;
use crate::model::{NodeName, sample};
use crate::node::config::Config;
use crate::node::template::{ConfigSeed, paths};
use crate::proto::v1::LinkState;

/// What makes a directory recognisable as the demo's own.
const MARK: &str = ".liaison-demo";
/// How long a node may take to start and to find its peer.
const START_TIME_MAX: Duration = Duration::from_secs(15);
/// How often it is looked at meanwhile.
const START_POLL: Duration = Duration::from_millis(20);

/// One side with its node.
#[derive(Debug)]
pub(in crate::cli) struct Side {
    /// In the protocol.
    pub(in crate::cli) node: NodeName,
    /// For people.
    pub(in crate::cli) place: &'static str,
    /// Its configuration.
    pub(in crate::cli) config: PathBuf,
    host: Option<Host>,
    desk: Option<Desk>,
}

/// Both sides.
#[derive(Debug)]
pub(in crate::cli) struct Sides {
    /// Where it all is.
    pub(super) dir: PathBuf,
    /// The Vietnamese side.
    pub(in crate::cli) vn: Side,
    /// The Chinese side.
    pub(in crate::cli) cn: Side,
    /// The message that the story begins with, for commands to try.
    pub(super) first_alert: Option<String>,
}

impl Sides {
    /// Makes both sides, and introduces them to each other.
    pub(super) fn make(dir: &Path, screen: Screen) -> Result<Self, Failure> {
        fresh(dir, screen)?;
        write_samples(&dir.join("samples"))?;
        let nodes = ["laocai.bg.vn.example", "hekou.ni.cn.example"];
        Self::make_pair(dir, nodes, ["Lào Cai", "Hekou"])
    }

    /// Makes a Vietnamese and a Chinese side by their nodes and places.
    pub(in crate::cli) fn make_pair(
        dir: &Path,
        nodes: [&str; 2],
        places: [&'static str; 2],
    ) -> Result<Self, Failure> {
        let vn = Side::make(dir, nodes[0], places[0], "Asia/Ho_Chi_Minh")?;
        let cn = Side::make(dir, nodes[1], places[1], "Asia/Shanghai")?;
        vn.take_card_of(&cn)?;
        cn.take_card_of(&vn)?;
        Ok(Self {
            dir: dir.to_owned(),
            vn,
            cn,
            first_alert: None,
        })
    }

    /// Starts both nodes and waits until their link is up.
    pub(in crate::cli) async fn start(&mut self) -> Result<(), Failure> {
        self.vn.start()?;
        self.cn.start()?;
        self.vn.wait_until(true).await?;
        self.cn.wait_until(true).await
    }

    /// Starts both nodes within this process, by the clock given, and waits until their link is up.
    pub(super) async fn start_here(&mut self, clock: &Arc<dyn Clock>) -> Result<(), Failure> {
        self.vn.start_here(Arc::clone(clock))?;
        self.cn.start_here(Arc::clone(clock))?;
        self.vn.wait_until(true).await?;
        self.cn.wait_until(true).await
    }

    /// Stops both nodes, whatever state they are in.
    pub(in crate::cli) async fn stop(&mut self) {
        tokio::join!(self.vn.stop(), self.cn.stop());
    }

    /// Tells of nodes that end, for as long as it is let: somebody may play with them.
    pub(super) async fn tell_ends(&mut self, screen: Screen) -> Done {
        loop {
            let side = tokio::select! {
                () = self.vn.ended() => &mut self.vn,
                () = self.cn.ended() => &mut self.cn,
            };
            side.host = None;
            screen.note(format!(
                "{}  the node of {} has ended; what was recorded is safe",
                crate::cli::when::clock(crate::cli::when::now()),
                side.place
            ));
        }
    }

    /// Where the keys go that an auditor was given.
    pub(super) fn trusted_keys_file(&self) -> PathBuf {
        self.dir.join("export/trusted.vkeys")
    }

    /// Where the export of a side goes.
    pub(super) fn export_of(&self, side: &Side) -> PathBuf {
        self.dir.join("export").join(side.node.as_str())
    }
}

/// Empties an earlier demo's directory; refuses any other that is not empty.
pub(super) fn fresh(dir: &Path, screen: Screen) -> Result<(), Failure> {
    let failed = || format!("the directory {}", dir.display());
    let is_empty = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).or_fail(Exit::CannotCreate, failed),
    };
    if !is_empty && !dir.join(MARK).is_file() {
        return Err(Failure::new(
            Exit::CannotCreate,
            format!("{} is not empty, and not an earlier demo's", dir.display()),
        )
        .remedy("nothing was touched; name another directory with --dir DIR"));
    }
    if !is_empty {
        let answers = |home: &PathBuf| {
            std::os::unix::net::UnixStream::connect(home.join(paths::DESK_SOCKET)).is_ok()
        };
        if homes(dir).iter().any(answers) {
            let what = format!("an earlier demo is still running in {}", dir.display());
            return Err(Failure::new(Exit::TryLater, what)
                .remedy("end it with Ctrl-C there, or name another directory with --dir DIR"));
        }
        screen.note(format!(
            "{} holds an earlier demo, which is made anew",
            dir.display()
        ));
        std::fs::remove_dir_all(dir).or_fail(Exit::CannotCreate, failed)?;
    }
    std::fs::create_dir_all(dir).or_fail(Exit::CannotCreate, failed)?;
    let mark = "Made by: liaison demo. The next one in this directory removes all of it.\n";
    std::fs::write(dir.join(MARK), mark).or_fail(Exit::CannotCreate, failed)
}

/// The directories in which a demo may have nodes: its own and one level below, for pairs.
fn homes(dir: &Path) -> Vec<PathBuf> {
    let within = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let near = within(dir);
    let far: Vec<PathBuf> = near.iter().flat_map(|dir| within(dir)).collect();
    [near, far].concat()
}

/// The drafts that the program has built in, to be sent again by hand.
pub(super) fn write_samples(dir: &Path) -> Result<(), Failure> {
    let failed = || format!("the samples in {}", dir.display());
    std::fs::create_dir_all(dir).or_fail(Exit::CannotCreate, failed)?;
    for sample in sample::SAMPLES {
        let file = dir.join(format!("{}.json", sample.name));
        std::fs::write(file, sample.json).or_fail(Exit::CannotCreate, failed)?;
    }
    for (name, content) in sample::FILES {
        std::fs::write(dir.join(name), content).or_fail(Exit::CannotCreate, failed)?;
    }
    Ok(())
}

/// Ports that systems do not give to outgoing connections unless told to (Linux begins at 32,768, IANA at
/// 49,152): one that is free now stays so until its node listens.
const PORTS: std::ops::Range<u16> = 10_000..32_768;

/// An address of this machine that nobody listens on at the moment; another one at each call.
fn free_address() -> Result<SocketAddr, Failure> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Others that run at the same time begin elsewhere.
    let begin = std::process::id().wrapping_mul(101);
    for _ in PORTS {
        let number = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let within = number % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(within).unwrap_or_default();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().or_fail(Exit::Unavailable, || {
                "a port of the loopback interface".to_owned()
            });
        }
    }
    let what = "no free port on the loopback interface";
    Err(Failure::new(Exit::Unavailable, what))
}

impl Side {
    /// Makes one side below a directory.
    pub(in crate::cli) fn make(
        dir: &Path,
        node: &str,
        place: &'static str,
        zone: &str,
    ) -> Result<Self, Failure> {
        let node = NodeName::parse(node).or_exit(Exit::Internal)?;
        let short = node.as_str().split('.').next().unwrap_or_default();
        let home = dir.join(short);
        let listen = free_address()?;
        init::make(&init::Plan {
            dir: home.clone(),
            organization: node.to_string(),
            seed: ConfigSeed {
                node: node.clone(),
                time_zone: zone.to_owned(),
                listen,
                endpoints: vec![listen.to_string()],
                desk_tcp: Some(free_address()?),
                passphrase: "none".to_owned(),
                example_ca: true,
            },
            protection: Protection::Unencrypted,
        })?;
        Ok(Self {
            node,
            place,
            config: home.join(paths::CONFIG),
            host: None,
            desk: None,
        })
    }

    /// As `peer card`, `peer add`.
    pub(in crate::cli) fn take_card_of(&self, other: &Self) -> Result<(), Failure> {
        let card = other.card()?;
        peer::add(&self.load()?, &card).map(drop)
    }

    /// The card of this side.
    pub(super) fn card(&self) -> Result<crate::node::peer_card::PeerCard, Failure> {
        peer::own_card(&self.load()?)
    }

    pub(in crate::cli) fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.config).or_exit(Exit::Config)
    }

    /// Where its node logs.
    pub(in crate::cli) fn log_file(&self) -> PathBuf {
        self.config.with_file_name("node.log")
    }

    /// Starts its node.
    pub(in crate::cli) fn start(&mut self) -> Result<(), Failure> {
        self.host = Some(Host::start(&self.config, &self.log_file())?);
        Ok(())
    }

    fn start_here(&mut self, clock: Arc<dyn Clock>) -> Result<(), Failure> {
        self.host = Some(Host::start_here(self.load()?, clock));
        Ok(())
    }

    /// Waits until the node answers and, if so wished, its link is up.
    pub(in crate::cli) async fn wait_until(&mut self, linked: bool) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + START_TIME_MAX;
        let target = Target::of_config(&self.config);
        loop {
            if let Ok(desk) = target.connect().await
                && let Ok(status) = status::get(&desk).await
            {
                let up = status
                    .links
                    .iter()
                    .all(|link| link.state() == LinkState::Up);
                self.desk = Some(desk);
                if up || !linked {
                    return Ok(());
                }
            }
            if self.host.as_mut().is_none_or(Host::has_ended)
                || tokio::time::Instant::now() >= deadline
            {
                let what = format!("the node of {} did not come up", self.place);
                let why = match self.host.take() {
                    Some(host) => host.why_ended().await,
                    None => None,
                };
                let why = why.unwrap_or_else(|| process::tail(&self.log_file()));
                return Err(
                    Failure::new(Exit::Unavailable, what).remedy(format!("its log says:\n{why}"))
                );
            }
            tokio::time::sleep(START_POLL).await;
        }
    }

    /// The way to its node.
    pub(in crate::cli) fn desk(&self) -> Result<&Desk, Failure> {
        let not_started = || Failure::new(Exit::Internal, "the node was not started");
        self.desk.as_ref().ok_or_else(not_started)
    }

    /// Stops its node as an administrator does.
    pub(in crate::cli) async fn stop(&mut self) {
        self.desk = None;
        if let Some(host) = self.host.take() {
            host.stop().await;
        }
    }

    /// Stops its node as a power cut does.
    pub(super) async fn kill(&mut self) {
        self.desk = None;
        if let Some(host) = self.host.take() {
            host.kill().await;
        }
    }

    /// Returns when its node has ended by itself; never, if none runs.
    pub(in crate::cli) async fn ended(&mut self) {
        match &mut self.host {
            Some(host) => host.ended().await,
            None => std::future::pending().await,
        }
    }
}
