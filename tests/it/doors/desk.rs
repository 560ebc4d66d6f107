//! Own people and programs: roles from certificates over TCP, users over the Unix socket.

use std::sync::{Arc, Mutex};

use liaison::link::accept::{AcceptLimits, accept};
use liaison::link::connection::ConnectInfo;
use liaison::link::dial::{DialLimits, Endpoint, dial_desk, dial_local};
use liaison::link::files::Files;
use liaison::link::identity::{DeskIdentity, Identity, Role};
use liaison::link::local::{LocalListener, accept_local};
use liaison::link::pki::{Authority, Leaf, write_public};
use liaison::link::reload::Reloader;
use liaison::link::serve::server_builder;
use liaison::link::tls::{ClientTls, DeskFiles, DeskTls, TlsOptions};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::house::*;

struct Desk {
    dir: tempfile::TempDir,
    ca: Authority,
    endpoint: Endpoint,
    seen: mpsc::UnboundedReceiver<ConnectInfo>,
}

/// Serves health with an interceptor that tells who asks.
fn service(
    seen: mpsc::UnboundedSender<ConnectInfo>,
) -> tonic::service::interceptor::InterceptedService<
    tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
    impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone,
> {
    let (_, health) = tonic_health::server::health_reporter();
    tonic::service::interceptor::InterceptedService::new(health, move |request: Request<()>| {
        let _ = seen.send(request.extensions().get::<ConnectInfo>().unwrap().clone());
        Ok(request)
    })
}

impl Desk {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut ca = authority("the desk");
        let server = ca
            .issue(&Leaf::desk_server(&name(LAOCAI)), valid())
            .unwrap();
        write_public(&dir.path().join("ca.pem"), &ca.certificate_pem()).unwrap();
        let files = DeskFiles {
            own: own_files(dir.path(), "desk", &server),
            client_ca: dir.path().join("ca.pem"),
            crls: Vec::new(),
        };
        let tls = Reloader::new("desk", move |source: &mut Files| {
            DeskTls::load(source, &name(LAOCAI), &files, &TlsOptions::new(false))
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let incoming = accept(listener, tls, AcceptLimits::desk());
        let endpoint = Endpoint::parse(&incoming.local_addr().unwrap().to_string()).unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(
            server_builder()
                .add_service(service(sender))
                .serve_with_incoming(incoming),
        );
        Self {
            dir,
            ca,
            endpoint,
            seen,
        }
    }

    /// What one call with a certificate like this comes to.
    async fn call(
        &mut self,
        leaf: &Leaf,
        issuer: Option<&mut Authority>,
    ) -> Result<Identity, String> {
        let issued = issuer.unwrap_or(&mut self.ca).issue(leaf, valid()).unwrap();
        let own = own_files(self.dir.path(), "client", &issued);
        let ca = self.dir.path().join("ca.pem");
        let tls = ClientTls::desk(&name(LAOCAI), &own, &ca, &TlsOptions::new(false))
            .map_err(|error| error.to_string())?;
        let endpoints = [self.endpoint.clone()];
        let dialled = within(dial_desk(
            &tls,
            &name(LAOCAI),
            &endpoints,
            &DialLimits::default(),
        ))
        .await
        .map_err(|error| error.to_string())?;
        let mut client = HealthClient::new(dialled.channel);
        within(client.check(HealthCheckRequest::default()))
            .await
            .map_err(|error| error.to_string())?;
        Ok(within(self.seen.recv()).await.unwrap().identity)
    }
}

fn radar() -> DeskIdentity {
    DeskIdentity::new(Role::Integration, "radar").unwrap()
}

#[tokio::test]
async fn the_certificate_gives_the_role() {
    let mut desk = Desk::open().await;
    for role in Role::ALL {
        let identity = DeskIdentity::new(role, "n1").unwrap();
        let leaf = Leaf::desk_client(&name(LAOCAI), &identity);
        assert_eq!(
            desk.call(&leaf, None).await.unwrap(),
            Identity::Desk(identity)
        );
    }
}

#[tokio::test]
async fn any_other_certificate_is_refused() {
    let mut desk = Desk::open().await;
    let good = Leaf::desk_client(&name(LAOCAI), &radar());
    let with = |uris: &[&str]| Leaf {
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        ..good.clone()
    };
    for leaf in [
        with(&["spiffe://hekou.ni.cn.example/role/operator/a"]),
        with(&["spiffe://laocai.bg.vn.example/role/root/a"]),
        with(&["spiffe://laocai.bg.vn.example/role/operator/a/b"]),
        with(&[
            "spiffe://laocai.bg.vn.example/role/auditor/a",
            "spiffe://laocai.bg.vn.example/role/admin/a",
        ]),
        with(&[]),
    ] {
        desk.call(&leaf, None).await.unwrap_err();
    }
    let mut foreign = authority("another desk");
    desk.call(&good, Some(&mut foreign)).await.unwrap_err();
    desk.call(&good, None).await.unwrap();
}

#[tokio::test]
async fn the_unix_socket_knows_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/desk.sock");
    let incoming = accept_local(LocalListener::bind(&path).unwrap(), AcceptLimits::desk());
    let (sender, mut seen) = mpsc::unbounded_channel();
    let serving = tokio::spawn(
        server_builder()
            .add_service(service(sender))
            .serve_with_incoming(incoming),
    );
    let dialled = within(dial_local(&path, &DialLimits::default()))
        .await
        .unwrap();
    let mut client = HealthClient::new(dialled.channel);
    within(client.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    let Identity::Unix(user) = within(seen.recv()).await.unwrap().identity else {
        panic!()
    };
    assert_eq!(user.uid, rustix::process::geteuid().as_raw());

    serving.abort();
    let _ = serving.await;
    let error = within(dial_local(&path, &DialLimits::default()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("is the node running?"),
        "{error}"
    );
}

#[tokio::test]
async fn material_of_a_desk_client_is_checked_before_it_is_used() {
    let mut desk = Desk::open().await;
    let error = desk
        .call(&Leaf::desk_server(&name(LAOCAI)), None)
        .await
        .unwrap_err();
    assert!(error.contains("SPIFFE URI"), "{error}");
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_says_why_and_names_no_person() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut desk = Desk::open().await;
    let person = DeskIdentity::new(Role::Operator, "nguyen-van-an").unwrap();
    let leaf = Leaf::desk_client(&name(HEKOU), &person);
    desk.call(&leaf, None).await.unwrap_err();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("a connection was refused peer=127.0.0.1:"),
        "{text}"
    );
    assert!(
        text.contains("trust domain is not this node's name"),
        "{text}"
    );
    assert!(!text.contains("nguyen"), "{text}");
}
