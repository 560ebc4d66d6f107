//! Health and reflection. Serving means: this node can sign and append, and journal what it shows.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

use super::Desk;
use crate::proto::DESCRIPTORS;

/// How often the disk is looked at; a store that fails is noticed at once.
const DISK_INTERVAL: Duration = Duration::from_secs(5);

/// The whole server, and each service by name.
const SERVICES: [&str; 4] = [
    "",
    "liaison.v1.DeskService",
    "liaison.v1.AuditService",
    "liaison.v1.LinkService",
];

/// The health service, and the task that keeps it true.
pub(super) async fn serve(desk: &Arc<Desk>) -> HealthServer<impl Health> {
    let (reporter, service) = health_reporter();
    let mut told = desk.health();
    tell(&reporter, told).await;
    let weak: Weak<Desk> = Arc::downgrade(desk);
    let (stop, mut trouble) = (desk.stop.clone(), desk.exchange.watch_trouble());
    tokio::spawn(async move {
        loop {
            let stopping = tokio::select! {
                changed = trouble.changed() => changed.is_err(),
                () = tokio::time::sleep(DISK_INTERVAL) => false,
                () = stop.cancelled() => true,
            };
            let now = match weak.upgrade() {
                Some(desk) if !stopping => desk.health(),
                _ => ServingStatus::NotServing,
            };
            if now != told {
                tell(&reporter, now).await;
                told = now;
            }
            if stopping {
                return;
            }
        }
    });
    service
}

async fn tell(reporter: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

impl Desk {
    fn health(&self) -> ServingStatus {
        match self.trouble() {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        }
    }
}

/// What the services look like, for generic clients.
pub(super) fn reflection() -> ServerReflectionServer<impl ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(SERVICES[1])
        .with_service_name(SERVICES[2])
        .with_service_name(SERVICES[3])
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .build_v1()
        .expect("the descriptors were written by this program's own build")
}
