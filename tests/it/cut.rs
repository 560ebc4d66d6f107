//! The link cut in the middle of batches by a proxy on loopback, and a hub with three peers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liaison::proto::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::nodes::{LEFT, Node, RIGHT, letter, pair};

/// Forwards connections to a port and breaks each one after some bytes, a little later each time.
struct CuttingProxy {
    port: u16,
    connections: Arc<AtomicU64>,
}

impl CuttingProxy {
    async fn new(target: u16, first_bytes: u64, more_bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let nth = count.fetch_add(1, Ordering::SeqCst);
                let budget = first_bytes + nth * more_bytes;
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
                        return;
                    };
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    // When either direction is cut, both halves are dropped.
                    tokio::select! {
                        () = forward(near_in, far_out, budget) => {}
                        () = forward(far_in, near_out, budget) => {}
                    }
                });
            }
        });
        Self { port, connections }
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut budget: u64,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(count) = from.read(&mut buffer).await else {
            return;
        };
        let within = count.min(usize::try_from(budget).unwrap());
        if count == 0 || to.write_all(&buffer[..within]).await.is_err() || within < count {
            return;
        }
        budget -= within as u64;
    }
}

async fn submit(node: &mut Node, recipient: &str, count: usize) {
    let mut desk = node.desk().await;
    for number in 0..count {
        let draft = Some(letter(recipient, number));
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_cut_in_mid_batch_resumes_without_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    // The first connections do not even get through the handshake; later ones get further.
    let proxy = CuttingProxy::new(right.port, 3_000, 40_000).await;
    left.set_link(
        RIGHT,
        &format!("endpoints = [\"127.0.0.1:{}\"]\ndial = true", proxy.port),
    );
    right.set_link(LEFT, "dial = false");
    left.start();
    right.start();
    submit(&mut left, RIGHT, 300).await;
    submit(&mut right, LEFT, 300).await;
    for (node, peer) in [(&mut left, RIGHT), (&mut right, LEFT)] {
        let link = node
            .until(peer, "delivered and mirrored", |link| {
                (link.delivered_size, link.mirrored_size) == (300, 300)
            })
            .await;
        assert_eq!(link.own_size, 300, "{link:?}");
    }
    let connections = proxy.connections.load(Ordering::SeqCst);
    assert!(connections > 3, "the link was cut only {connections} times");
    left.stop();
    right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_serves_three_peers_independently_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut hub = Node::init(dir.path(), "hub.bg.vn.example");
    let names = [
        "east.ni.cn.example",
        "north.ni.cn.example",
        "west.ni.cn.example",
    ];
    let mut peers: Vec<Node> = names
        .iter()
        .map(|name| Node::init(dir.path(), name))
        .collect();
    for peer in &peers {
        hub.add_peer(&peer.card());
        peer.add_peer(&hub.card());
    }
    hub.start();
    // One peer is never there, one falls in between.
    peers[0].start();
    peers[1].start();
    for name in names {
        submit(&mut hub, name, 50).await;
    }
    for (peer, name) in peers.iter_mut().zip(names).take(2) {
        submit(peer, "hub.bg.vn.example", 50).await;
        hub.until(name, "delivered", |link| link.delivered_size == 50)
            .await;
    }
    peers[1].kill();
    for name in names {
        submit(&mut hub, name, 50).await;
    }
    hub.until(names[0], "delivered", |link| link.delivered_size == 100)
        .await;
    let down = hub
        .until(names[1], "down", |link| {
            link.state == v1::LinkState::Down as i32
        })
        .await;
    assert_eq!((down.own_size, down.delivered_size), (100, 50));
    peers[1].start();
    peers[2].start();
    for name in names {
        let link = hub
            .until(name, "delivered", |link| link.delivered_size == 100)
            .await;
        assert_eq!(link.own_size, 100);
    }
    peers[2]
        .until("hub.bg.vn.example", "mirrored", |link| {
            link.mirrored_size == 100
        })
        .await;
    hub.stop();
}
