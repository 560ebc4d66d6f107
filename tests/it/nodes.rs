//! Two real nodes as processes, over real TLS and real disks, made with the command line that
//! administrators use.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use liaison::link::dial::{DialLimits, dial_local};
use liaison::proto::v1;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use tonic::transport::Channel;

/// The longest that anything here is waited for; reaching it is a failure, not a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn liaison(args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Read while it runs: an answer longer than a pipe would keep it from ending.
    let (stdout, stderr) = (
        drained(child.stdout.take().unwrap()),
        drained(child.stderr.take().unwrap()),
    );
    let deadline = Instant::now() + PATIENCE;
    let mut ended = None;
    while ended.is_none() && Instant::now() <= deadline {
        std::thread::sleep(Duration::from_millis(5));
        ended = child.try_wait().unwrap();
    }
    if ended.is_none() {
        child.kill().unwrap();
    }
    let output = Output {
        status: child.wait().unwrap(),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    };
    assert!(ended.is_some(), "liaison {args:?} does not end: {output:?}");
    output
}

/// Everything that comes out of `pipe`, read beside the caller.
fn drained(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Runs the binary and expects success.
pub(crate) fn succeed(args: &[&str]) -> String {
    let output = liaison(args);
    assert!(
        output.status.success(),
        "liaison {args:?}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A port of the loopback interface that nobody uses now, another one each time; none of those that the
/// system gives to outgoing connections.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(211);
    for _ in 0..22_768 {
        let number = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(number % 22_768).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// One node: its directory and, while it runs, its process.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Node {
    /// Makes a node with throw-away authorities and unencrypted keys.
    pub(crate) fn init(parent: &Path, name: &str) -> Self {
        let dir = parent.join(name);
        let port = free_port();
        succeed(&[
            "init",
            dir.to_str().unwrap(),
            "--name",
            name,
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--endpoint",
            &format!("127.0.0.1:{port}"),
            "--unencrypted",
            "--example-ca",
        ]);
        Self {
            name: name.to_owned(),
            dir,
            port,
            child: None,
        }
    }

    pub(crate) fn config(&self) -> String {
        self.dir.join("liaison.toml").to_str().unwrap().to_owned()
    }

    /// Writes the node's card and returns its path.
    pub(crate) fn card(&self) -> PathBuf {
        let path = self.dir.join("own.card.toml");
        let card = succeed(&["--config", &self.config(), "peer", "card"]);
        std::fs::write(&path, card).unwrap();
        path
    }

    /// Adds a peer by its card, comparing the fingerprint as a script does.
    pub(crate) fn add_peer(&self, card: &Path) {
        let shown = succeed(&["peer", "show", card.to_str().unwrap(), "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let fingerprint = shown["fingerprint"].as_str().unwrap();
        succeed(&[
            "--config",
            &self.config(),
            "peer",
            "add",
            card.to_str().unwrap(),
            "--fingerprint",
            fingerprint,
        ]);
    }

    /// Changes a line of the settings of the link with a peer.
    pub(crate) fn set_link(&self, peer: &str, line: &str) {
        let path = self.dir.join("links").join(format!("{peer}.link.toml"));
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push('\n');
        text.push_str(line);
        text.push('\n');
        std::fs::write(&path, text).unwrap();
    }

    /// Says letters to the peer, one for each number.
    pub(crate) async fn say(&mut self, to: &str, numbers: std::ops::Range<usize>) {
        let mut desk = self.desk().await;
        for number in numbers {
            let draft = Some(letter(to, number));
            desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        }
    }

    /// Waits until it has said something to the peer, and the peer has all of it.
    pub(crate) async fn delivered(&mut self, peer: &str) {
        self.until(peer, "delivered", |link| {
            link.delivered_size == link.own_size && link.own_size > 0
        })
        .await;
    }

    /// Starts the process; its log goes to `node.log`.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("node.log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_liaison"))
            .args(["--config", &self.config(), "node", "run"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Starts the process under another program, such as a tracer.
    pub(crate) fn start_under(&mut self, program: &str, args: &[&str]) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("node.log"))
            .unwrap();
        let child = Command::new(program)
            .args(args)
            .arg(env!("CARGO_BIN_EXE_liaison"))
            .args(["--config", &self.config(), "node", "run"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
        self.child = Some(child);
    }

    /// A client of the desk, or nothing when the node ends by itself.
    pub(crate) async fn desk_or_end(&mut self) -> Option<DeskServiceClient<Channel>> {
        let socket = self.dir.join("run/desk.sock");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let child = self.child.as_mut().unwrap();
            if child.try_wait().unwrap().is_some() {
                self.child = None;
                return None;
            }
            if let Ok(dialled) = dial_local(&socket, &DialLimits::default()).await {
                let mut client = DeskServiceClient::new(dialled.channel);
                if client.status(v1::StatusRequest {}).await.is_ok() {
                    return Some(client);
                }
            }
            assert!(
                Instant::now() < deadline,
                "{} does not answer\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILL for the node below a tracer, which ends with it.
    pub(crate) fn kill_under(&mut self) {
        let mut tracer = self.child.take().unwrap();
        let parent = tracer.id().to_string();
        let killed = Command::new("pkill")
            .args(["-9", "-P", &parent])
            .status()
            .unwrap();
        assert!(killed.success());
        tracer.wait().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        self.child.take().unwrap().wait().unwrap()
    }

    /// SIGKILL: no line of ours runs after it.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for the drain.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        let status = child.wait().unwrap();
        assert!(status.success(), "{}: {status}\n{}", self.name, self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("node.log")).unwrap_or_default()
    }

    /// A client of the desk's Unix socket; waits until the node answers.
    pub(crate) async fn desk(&mut self) -> DeskServiceClient<Channel> {
        let socket = self.dir.join("run/desk.sock");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().unwrap()
            {
                panic!("{} ended: {status}\n{}", self.name, self.log());
            }
            if let Ok(dialled) = dial_local(&socket, &DialLimits::default()).await {
                let mut client = DeskServiceClient::new(dialled.channel);
                if client.status(v1::StatusRequest {}).await.is_ok() {
                    return client;
                }
            }
            assert!(
                Instant::now() < deadline,
                "{} does not answer\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the link with `peer` satisfies a condition.
    pub(crate) async fn until(
        &mut self,
        peer: &str,
        what: &str,
        is_so: impl Fn(&v1::LinkStatus) -> bool,
    ) -> v1::LinkStatus {
        let mut desk = self.desk().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = desk
                .status(v1::StatusRequest {})
                .await
                .unwrap()
                .into_inner();
            let link = status.links.into_iter().find(|link| link.peer == peer);
            let link = link.unwrap_or_else(|| panic!("no link with {peer}"));
            if is_so(&link) {
                return link;
            }
            assert!(
                Instant::now() < deadline,
                "{}: never {what}; last: {link:?}\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The names of the usual two.
pub(crate) const LEFT: &str = "laocai.bg.vn.example";
/// See [`LEFT`].
pub(crate) const RIGHT: &str = "hekou.ni.cn.example";

/// Two nodes that know each other; not started.
pub(crate) fn pair(parent: &Path) -> (Node, Node) {
    let left = Node::init(parent, LEFT);
    let right = Node::init(parent, RIGHT);
    left.add_peer(&right.card());
    right.add_peer(&left.card());
    (left, right)
}

/// A new message id.
pub(crate) fn new_id() -> String {
    use liaison::exchange::clock::{Clock as _, Entropy, SystemClock};
    let random = Entropy::system().bytes().unwrap();
    liaison::model::MessageId::from_parts(SystemClock.unix_ms(), random).to_string()
}

/// A routine letter with an id of its own.
pub(crate) fn letter(recipient: &str, number: usize) -> v1::Draft {
    v1::Draft {
        id: new_id(),
        recipient: recipient.to_owned(),
        body: Some(v1::Body {
            body: Some(v1::body::Body::OfficialLetter(letter_body(number))),
        }),
        ..v1::Draft::default()
    }
}

/// What such a letter says.
pub(crate) fn letter_body(number: usize) -> v1::OfficialLetter {
    let text = |vi: &str| v1::LocalizedText {
        texts: [("vi".to_owned(), vi.to_owned())].into(),
    };
    v1::OfficialLetter {
        common: Some(v1::Common {
            from_office: "Phòng mẫu".to_owned(),
            to_office: "示例办公室".to_owned(),
            legal_basis: vec!["Điều 1".to_owned()],
            languages: vec!["vi".to_owned()],
            not_applicable: vec!["place".to_owned(), "replyBy".to_owned()],
            ..v1::Common::default()
        }),
        letter_number: format!("{number}/MẪU"),
        subject: Some(text("Về việc mẫu")),
        text: Some(text("Nội dung mẫu.")),
        signatory: Some(v1::Officer {
            name: "Nguyễn Văn Mẫu".to_owned(),
            rank: "Đại úy".to_owned(),
            office: "Phòng mẫu".to_owned(),
            phone: String::new(),
        }),
        ..v1::OfficialLetter::default()
    }
}
