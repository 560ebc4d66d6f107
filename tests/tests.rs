//! Every integration test, in one binary.

#[path = "it/agenda.rs"]
mod agenda;
#[path = "it/answers.rs"]
mod answers;
#[path = "it/audit.rs"]
mod audit;
#[path = "it/audit_cli.rs"]
mod audit_cli;
#[path = "it/backup/mod.rs"]
mod backup;
#[path = "it/bench/mod.rs"]
mod bench;
#[path = "it/besieged.rs"]
mod besieged;
#[path = "it/bits.rs"]
mod bits;
#[path = "it/bits_keys.rs"]
mod bits_keys;
#[path = "it/bundle/mod.rs"]
mod bundle;
#[path = "it/calendar.rs"]
mod calendar;
#[path = "it/cases.rs"]
mod cases;
#[path = "it/claims.rs"]
mod claims;
#[path = "it/cli.rs"]
mod cli;
#[path = "it/contained.rs"]
mod contained;
#[path = "it/corpus.rs"]
mod corpus;
#[path = "it/crash_points.rs"]
mod crash_points;
#[path = "it/crypto.rs"]
mod crypto;
#[path = "it/cut.rs"]
mod cut;
#[path = "it/deadlines.rs"]
mod deadlines;
#[path = "it/demo.rs"]
mod demo;
#[path = "it/desk/mod.rs"]
mod desk;
#[path = "it/disks.rs"]
mod disks;
#[path = "it/doors/mod.rs"]
mod doors;
#[path = "it/drain.rs"]
mod drain;
#[path = "it/equivocation.rs"]
mod equivocation;
#[path = "it/erase/mod.rs"]
mod erase;
#[path = "it/evidence.rs"]
mod evidence;
#[path = "it/exchange.rs"]
mod exchange;
#[path = "it/express.rs"]
mod express;
#[path = "it/farewell.rs"]
mod farewell;
#[path = "it/foreign.rs"]
mod foreign;
#[path = "it/forgeries.rs"]
mod forgeries;
#[path = "it/forked.rs"]
mod forked;
#[path = "it/forms.rs"]
mod forms;
#[path = "it/handled.rs"]
mod handled;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/journal/mod.rs"]
mod journal;
#[path = "it/key_ceremony.rs"]
mod key_ceremony;
#[path = "it/keys.rs"]
mod keys;
#[path = "it/keys_restored.rs"]
mod keys_restored;
#[path = "it/kill.rs"]
mod kill;
#[path = "it/killed_midway.rs"]
mod killed_midway;
#[path = "it/letter.rs"]
mod letter;
#[path = "it/machine.rs"]
mod machine;
#[path = "it/markers/mod.rs"]
mod markers;
#[path = "it/model.rs"]
mod model;
#[path = "it/mounted.rs"]
mod mounted;
#[path = "it/node_manners.rs"]
mod node_manners;
#[path = "it/nodes.rs"]
mod nodes;
#[path = "it/peer_misbehaves.rs"]
mod peer_misbehaves;
#[path = "it/peer_quotas.rs"]
mod peer_quotas;
#[path = "it/power_cut.rs"]
mod power_cut;
#[path = "it/pruned.rs"]
mod pruned;
#[path = "it/recover.rs"]
mod recover;
#[path = "it/recover_node.rs"]
mod recover_node;
#[path = "it/rekeyed.rs"]
mod rekeyed;
#[path = "it/renewal.rs"]
mod renewal;
#[path = "it/report.rs"]
mod report;
#[path = "it/retention.rs"]
mod retention;
#[path = "it/sides.rs"]
mod sides;
#[path = "it/sim/mod.rs"]
mod sim;
#[path = "it/slowed.rs"]
mod slowed;
#[path = "it/space.rs"]
mod space;
#[path = "it/store.rs"]
mod store;
#[path = "it/store_damage.rs"]
mod store_damage;
#[path = "it/store_files.rs"]
mod store_files;
#[path = "it/store_full_disk.rs"]
mod store_full_disk;
#[path = "it/submit_many.rs"]
mod submit_many;
#[path = "it/tampering.rs"]
mod tampering;
#[path = "it/tidy.rs"]
mod tidy;
#[path = "it/tlog.rs"]
mod tlog;
#[path = "it/traffic.rs"]
mod traffic;
#[path = "it/uploads.rs"]
mod uploads;
#[path = "it/whole_year.rs"]
mod whole_year;
#[path = "it/wire.rs"]
mod wire;
#[path = "it/workflow/mod.rs"]
mod workflow;
