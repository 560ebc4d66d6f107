//! Two sides with authorities, a listening node, and ways to knock.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use liaison::link::accept::{AcceptLimits, accept};
use liaison::link::connection::ConnectInfo;
use liaison::link::dial::{DialLimits, Dialled, Endpoint, dial_peer};
use liaison::link::files::{Files, MaterialError};
use liaison::link::identity::Identity;
use liaison::link::pki::{Authority, Issued, Leaf, Validity, write_public, write_secret};
use liaison::link::reload::Reloader;
use liaison::link::serve::server_builder;
use liaison::link::tls::{ExchangeTls, OwnFiles, PeerTrust, TlsOptions};
use liaison::model::NodeName;
use liaison::proto::v1;
use liaison::proto::v1::exchange_service_client::ExchangeServiceClient;
use liaison::proto::v1::exchange_service_server::{ExchangeService, ExchangeServiceServer};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::{Code, Request, Response, Status, Streaming};

pub(super) const LAOCAI: &str = "laocai.bg.vn.example";
pub(super) const HEKOU: &str = "hekou.ni.cn.example";
pub(super) const MOHAN: &str = "mohan.ni.cn.example";

pub(super) fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

/// Seconds since 1970, by file time: the tests may not read the clock either.
pub(super) fn now_unix() -> u64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    let modified = file.as_file().metadata().unwrap().modified().unwrap();
    modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub(super) fn valid() -> Validity {
    Validity::days(now_unix(), 30)
}

/// An authority that nobody takes for an example.
pub(super) fn authority(of: &str) -> Authority {
    Authority::new("Border Office", &format!("authority of {of}"), valid()).unwrap()
}

/// Certificate and key in files, as the node reads them.
pub(super) fn own_files(dir: &Path, label: &str, issued: &Issued) -> OwnFiles {
    let files = OwnFiles {
        certificate: dir.join(format!("{label}.pem")),
        key: dir.join(format!("{label}.key")),
    };
    for file in [&files.certificate, &files.key] {
        let _ = std::fs::remove_file(file);
    }
    write_public(&files.certificate, &issued.certificate_pem).unwrap();
    write_secret(&files.key, &issued.key_pem).unwrap();
    files
}

pub(super) fn trust(peer: &str, authority: &Authority, crls: Vec<PathBuf>) -> PeerTrust {
    let pem = authority.certificate_pem();
    PeerTrust {
        peer: name(peer),
        authorities: liaison::link::files::parse_certificates(pem.as_bytes()).unwrap(),
        crls,
    }
}

/// Material of `node`, reloadable.
pub(super) fn material(
    node: &str,
    own: OwnFiles,
    peers: Vec<PeerTrust>,
) -> Result<Arc<Reloader<ExchangeTls>>, MaterialError> {
    let node = name(node);
    let options = TlsOptions::new(false);
    Reloader::new("exchange", move |files: &mut Files| {
        ExchangeTls::load(files, &node, &own, &peers, &options)
    })
}

/// Answers `StatAttachment` with the size of the question and tells who asked.
#[derive(Debug)]
struct Porter {
    seen: mpsc::UnboundedSender<ConnectInfo>,
}

type Answers<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

#[tonic::async_trait]
impl ExchangeService for Porter {
    type SessionStream = Answers<v1::SessionResponse>;
    type GetAttachmentStream = Answers<v1::GetAttachmentResponse>;

    async fn session(
        &self,
        _: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::unimplemented("not in this house"))
    }

    async fn stat_attachment(
        &self,
        request: Request<v1::StatAttachmentRequest>,
    ) -> Result<Response<v1::StatAttachmentResponse>, Status> {
        let info = request.extensions().get::<ConnectInfo>().unwrap();
        let _ = self.seen.send(info.clone());
        Ok(Response::new(v1::StatAttachmentResponse {
            held_bytes: request.get_ref().sha256.len() as u64,
            ..Default::default()
        }))
    }

    async fn put_attachment(
        &self,
        _: Request<Streaming<v1::PutAttachmentRequest>>,
    ) -> Result<Response<v1::PutAttachmentResponse>, Status> {
        Err(Status::unimplemented("not in this house"))
    }

    async fn get_attachment(
        &self,
        _: Request<v1::GetAttachmentRequest>,
    ) -> Result<Response<Self::GetAttachmentStream>, Status> {
        Err(Status::unimplemented("not in this house"))
    }
}

/// A node that listens.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<Reloader<ExchangeTls>>,
    seen: mpsc::UnboundedReceiver<ConnectInfo>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Listening {
    pub(super) async fn start(tls: Arc<Reloader<ExchangeTls>>, limits: AcceptLimits) -> Self {
        Self::serve(tls, limits, server_builder()).await
    }

    pub(super) async fn serve(
        tls: Arc<Reloader<ExchangeTls>>,
        limits: AcceptLimits,
        mut server: tonic::transport::Server,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let incoming = accept(listener, tls.clone(), limits);
        let address = incoming.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let service = ExchangeServiceServer::new(Porter { seen: sender })
            .max_decoding_message_size(liaison::limits::FRAME_BYTES_MAX);
        tokio::spawn(
            server
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, async {
                    let _ = stopped.await;
                }),
        );
        Self {
            address,
            tls,
            seen,
            _stop: stop,
        }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&self.address.to_string()).unwrap()
    }

    pub(super) async fn next_seen(&mut self) -> ConnectInfo {
        within(self.seen.recv()).await.unwrap()
    }
}

/// Nothing here takes long; what does has failed.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("in time")
}

/// One call on a connection.
pub(super) async fn ask(dialled: &Dialled, bytes: usize) -> Result<u64, Status> {
    let mut client = ExchangeServiceClient::new(dialled.channel.clone());
    let request = v1::StatAttachmentRequest {
        sha256: vec![0; bytes].into(),
    };
    Ok(within(client.stat_attachment(request))
        .await?
        .into_inner()
        .held_bytes)
}

/// Lao Cai listens and has a link with Hekou and one with Mohan.
pub(super) struct House {
    pub(super) dir: TempDir,
    pub(super) laocai_ca: Authority,
    pub(super) hekou_ca: Authority,
    pub(super) mohan_ca: Authority,
    pub(super) hekou_crl: PathBuf,
    pub(super) laocai: Listening,
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with(AcceptLimits::exchange()).await
    }

    pub(super) async fn with(limits: AcceptLimits) -> Self {
        Self::serve(limits, server_builder()).await
    }

    pub(super) async fn serve(limits: AcceptLimits, server: tonic::transport::Server) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut laocai_ca = authority(LAOCAI);
        let mut hekou_ca = authority(HEKOU);
        let mohan_ca = authority(MOHAN);
        let issued = laocai_ca
            .issue(&Leaf::node(&name(LAOCAI)), valid())
            .unwrap();
        let own = own_files(dir.path(), "laocai", &issued);
        let hekou_crl = dir.path().join("hekou.crl");
        std::fs::write(&hekou_crl, hekou_ca.revoke(&[], valid()).unwrap()).unwrap();
        let peers = vec![
            trust(HEKOU, &hekou_ca, vec![hekou_crl.clone()]),
            trust(MOHAN, &mohan_ca, Vec::new()),
        ];
        let tls = material(LAOCAI, own, peers).unwrap();
        let laocai = Listening::serve(tls, limits, server).await;
        Self {
            dir,
            laocai_ca,
            hekou_ca,
            mohan_ca,
            hekou_crl,
            laocai,
        }
    }

    /// Material of a node that shows `issued` and expects Lao Cai.
    pub(super) fn caller(&self, own_name: &str, issued: &Issued) -> Arc<Reloader<ExchangeTls>> {
        let own = own_files(self.dir.path(), "caller", issued);
        material(
            own_name,
            own,
            vec![trust(LAOCAI, &self.laocai_ca, Vec::new())],
        )
        .unwrap()
    }

    pub(super) async fn dial(&self, tls: &Reloader<ExchangeTls>) -> Dialled {
        let endpoints = [self.laocai.endpoint()];
        within(dial_peer(
            tls,
            &name(LAOCAI),
            &endpoints,
            &DialLimits::default(),
        ))
        .await
        .unwrap()
    }

    /// What the first call with this certificate comes to.
    pub(super) async fn knock(&self, own_name: &str, issued: &Issued) -> Result<u64, Status> {
        let tls = self.caller(own_name, issued);
        let endpoints = [self.laocai.endpoint()];
        match within(dial_peer(
            &tls,
            &name(LAOCAI),
            &endpoints,
            &DialLimits::default(),
        ))
        .await
        {
            Ok(dialled) => ask(&dialled, 32).await,
            // The alert may also overtake the HTTP/2 preface.
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    /// A good certificate of Hekou.
    pub(super) fn hekou(&mut self) -> Issued {
        self.hekou_ca
            .issue(&Leaf::node(&name(HEKOU)), valid())
            .unwrap()
    }
}

pub(super) fn assert_refused(outcome: Result<u64, Status>) {
    let status = outcome.expect_err("this certificate must not get in");
    let refused = [Code::Unavailable, Code::Cancelled, Code::Unknown];
    assert!(refused.contains(&status.code()), "{status:?}");
}

pub(super) fn peer_of(info: &ConnectInfo) -> &str {
    match &info.identity {
        Identity::Peer(peer) => peer.node.as_str(),
        other => panic!("{other:?}"),
    }
}
