//! Every bound on what is driven by input, in one place, with its arithmetic beside it.
//!
//! Units stand last in the names. A value equal to a `_max` is accepted, one more is refused.

use std::time::Duration;

/// An entry, serialized. C2SP entry bundles carry a big-endian u16 length.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// A body, serialized, without its salt.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Messages within one body, whatever their depth: 500 persons of some 40 each, three times over. At
/// about 1 KiB each in memory, the worst body takes 64 MiB while it is looked at.
pub const BODY_PARTS_MAX: usize = 1 << 16;
/// Messages within one message of a call, which may hold a body.
pub const MESSAGE_PARTS_MAX: usize = 2 * BODY_PARTS_MAX;
/// The salt in front of a body.
pub const SALT_BYTES: usize = 32;
/// An entry with its salt and body, which is also the largest push.
pub const ITEM_BYTES_MAX: usize = ENTRY_BYTES_MAX + SALT_BYTES + BODY_BYTES_MAX;
/// A frame between nodes: one body of 1 MiB, one entry of 64 KiB and a checkpoint fit twice over.
pub const FRAME_BYTES_MAX: usize = 2 << 20;
/// Entries of one push.
pub const PUSH_ENTRIES_MAX: usize = 512;
/// Entries that a node sends in one push, and that it waits for when it mirrors: what is urgent waits for so
/// many at most, and a commit and a cosignature cost little beside them.
pub const RUN_ENTRIES_READY: usize = 128;
/// How long few entries wait for the small push before them to be cosigned, to go together with what comes
/// meanwhile: on a near way it takes some milliseconds. What is urgent goes ahead of its turn and does not wait.
pub const SMALL_PUSH_TIME_MAX: Duration = Duration::from_millis(250);
/// Entries that a push is begun for in any case, while there is room in the window.
pub const PUSH_ENTRIES_READY: u64 = 64;
/// Entry and body bytes of one push, unless a single item is larger.
pub const PUSH_BYTES_MAX: usize = 1 << 20;
/// Entries pushed and not yet cosigned.
pub const WINDOW_ENTRIES_MAX: u64 = 4_096;
/// Bytes pushed and not yet cosigned: 16 full pushes.
pub const WINDOW_BYTES_MAX: usize = 16 << 20;
/// Expressed entries that wait for their turn, per link: a storm of FLASH alerts, 4 MiB at 1 KiB.
pub const EXPRESSED_ENTRIES_MAX: usize = 4_096;
/// Of these, acknowledgements that a node sends ahead at a time, so that there is always room for an
/// alert: a quarter.
pub const ACKNOWLEDGEMENTS_AHEAD_MAX: usize = EXPRESSED_ENTRIES_MAX / 4;
/// What they occupy, per link: 64 of the largest, or every one of them at 16 KiB.
pub const EXPRESSED_BYTES_MAX: u64 = 64 << 20;
/// Signature lines of a note. C2SP asks for at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// A whole signed note.
pub const NOTE_BYTES_MAX: usize = 64 << 10;
/// Leaves of a log that a checkpoint may name: 2^63 − 1, the most that signed 64-bit readers hold.
pub const CHECKPOINT_SIZE_MAX: u64 = i64::MAX.unsigned_abs();
/// A piece of evidence: an entry of 64 KiB in base64 is 86 KiB, a note at most 64 KiB. As JSON, a
/// control character takes six bytes: two pieces still fit the 2 MiB that a value in parts holds.
pub const EVIDENCE_BYTES_MAX: usize = 96 << 10;
/// What a cosignature line may take: em dash (3), space, node name (253), space, base64 of
/// 4 + 8 + 64 bytes (104), newline make 363. A checkpoint keeps this free in its note.
pub const NOTE_COSIGNATURE_BYTES_MAX: usize = 512;
/// A peer's note that is kept: one value, with our cosignature. 20 lines of the longest fit.
pub const KEPT_NOTE_BYTES_MAX: usize = VALUE_BYTES_MAX - NOTE_COSIGNATURE_BYTES_MAX;
/// A verifier key: an origin (2 × 253 + 1), two plus signs, 8 hex digits, 44 of base64 make 561.
pub const VKEY_BYTES_MAX: usize = 1 << 10;
/// Signatures of an entry: the node's and those of officers.
pub const ENTRY_SIGNATURES_MAX: usize = 16;
/// Ordinary changes of keys that count in one log: one a week for almost 20 years.
pub const KEY_CHANGES_MAX: u64 = 1_024;
/// Changes in one log that the recovery key signs. A count of its own: whoever has stolen another
/// key cannot use it up.
pub const KEY_REVOCATIONS_MAX: u64 = 256;
/// Message keys, and log keys, that hold in one log at once: the one in use, the next, two to spare.
pub const OPEN_KEYS_MAX: usize = 4;
/// Officers' keys that hold in one log at once.
pub const OFFICER_KEYS_MAX: usize = 64;
/// Certificate of an announced authority, DER.
pub const AUTHORITY_BYTES_MAX: usize = 8 << 10;
/// Authorities announced in one log.
pub const AUTHORITIES_ANNOUNCED_MAX: usize = 64;
/// A result of `liaison bench`: a run has about 3 KiB, so 4,000 of them fit.
pub const BENCH_FILE_BYTES_MAX: usize = 16 << 20;
/// A key file: encrypted, it has about 400 bytes; text before the PEM block is allowed.
pub const KEY_FILE_BYTES_MAX: usize = 16 << 10;
/// scrypt cost N of a key file: OpenSSL's default, below which a passphrase is cheap to guess.
pub const SCRYPT_N_MIN: u64 = 1 << 14;
/// scrypt cost N of a key file: 128 × r × N = 128 MiB at r = 8.
pub const SCRYPT_N_MAX: u64 = 1 << 17;
/// scrypt block size r of a key file.
pub const SCRYPT_R: u16 = 8;
/// scrypt passes p of a key file: time, not memory.
pub const SCRYPT_P_MAX: u16 = 16;
/// An attachment: 1 GiB.
pub const ATTACHMENT_BYTES_MAX: u64 = 1 << 30;
/// Attachments of one message.
pub const ATTACHMENTS_MAX: usize = 64;
/// A chunk of an attachment on the wire.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;
/// A value in the store: sled moves larger pages to an unsynced file (512 KiB a leaf page).
pub const VALUE_BYTES_MAX: usize = 8 << 10;
/// A key in the store: two node names of 253 bytes and what surrounds them, twice over.
pub const KEY_BYTES_MAX: usize = 1 << 10;
/// Time for a request of one message to come whole, beside what its bytes may take.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes a second at which a request must come at least, on average: 4 MiB take two minutes.
pub const REQUEST_BYTES_PER_SECOND_MIN: u64 = 32 << 10;
/// KiB of such requests of one identity that have come and are not answered: 16 of the largest.
pub const REQUESTS_KIB_MAX: usize = 64 << 10;
/// A request from the desk: a body as JSON or protobuf with its frame.
pub const DESK_MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Messages of one side that a case takes: a handover of a large batch has some dozens. Each message
/// that comes late into the order has the case folded again, at about a microsecond a message; so a
/// peer gains a few milliseconds of work by each, and no more however many it sends.
pub const CASE_MESSAGES_MAX: usize = 1_000;
/// Messages that are looked at again, in one folding of a case, to tell whether what is not possible
/// was when its author signed it: twice a full case, and so no more work than the folding itself by
/// much. Beyond, its author is believed.
pub const CASE_LOOKBACK_MAX: usize = 2 * 2 * CASE_MESSAGES_MAX;
/// Cases of one link that stay in memory after someone asked for them.
pub const CASES_KEPT_MAX: usize = 128;
/// Messages of them together, unless a single case has more: the largest case, and as much again. At
/// about 1 KiB each, 4 MiB a link.
pub const CASES_MESSAGES_KEPT_MAX: usize = 2 * 2 * CASE_MESSAGES_MAX;
/// Entries of each log of a link of which it is still in memory what they say, right after they were
/// recorded: what comes in some hundredths of a second under load. At most 2 KiB each: 2 MiB a link.
pub const FRESH_ENTRIES_MAX: usize = 512;
/// Bytes of what such an entry says, as it is packed, which is an eighth of what it may take in memory;
/// a letter has some 60. What is larger is read back.
pub const FRESH_BYTES_MAX: usize = 256;
/// Things owed by a time in one case that are recalled: two by each message of a full case, and as many
/// again. Some 300 bytes of rows each: 2 MiB of their keys.
pub const CASE_DUES_MAX: usize = 2 * 2 * 2 * CASE_MESSAGES_MAX;
/// Persons of one handover request, and so of each message that names them by their numbers.
pub const HANDOVER_PERSONS_MAX: usize = 500;
/// Persons of one verification request: those verified together are handed over together.
pub const VERIFICATION_PERSONS_MAX: usize = HANDOVER_PERSONS_MAX;
/// A hotline call: a line left open over a whole shift change and a night, in seconds.
pub const CALL_SECONDS_MAX: u32 = 24 * 60 * 60;
/// A one-line field: names, offices, numbers; in bytes of UTF-8.
pub const LINE_BYTES_MAX: usize = 512;
/// Why a handling code was overridden: one line, as every reason that is typed and recorded.
pub const OVERRIDE_REASON_BYTES_MAX: usize = LINE_BYTES_MAX;
/// A free text in one language, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Languages of one text.
pub const LANGUAGES_MAX: usize = 8;
/// Elements of any repeated field that has no limit of its own.
pub const REPEATED_MAX: usize = 256;
/// Days in each list of a working-day calendar: every day of a leap year.
pub const CALENDAR_DAYS_MAX: usize = 366;
/// Figures of a period report: some 100 names, for each side and for both, three times over. At
/// 64 bytes each they take 63 KiB of a body.
pub const REPORT_FIGURES_MAX: usize = 1_000;
/// Gate pairs of one list: the 12 of the sample border, twenty times over.
pub const GATES_MAX: usize = 256;
/// A list of gates as a file: each with three names of one line, and as much again around them.
pub const GATES_FILE_BYTES_MAX: usize = GATES_MAX * 6 * LINE_BYTES_MAX;
/// Form fields marked as not applicable: 16 of each person of the largest handover request.
pub const NOT_APPLICABLE_MAX: usize = 16 * HANDOVER_PERSONS_MAX;
/// A calendar file: 366 days at 256 bytes, each with its name in two or three languages, make
/// 92 KiB; rounded up.
pub const CALENDAR_FILE_BYTES_MAX: usize = 128 << 10;
/// Faults told of one draft. More help nobody; a megabyte of them would clog the answer.
pub const FAULTS_MAX: usize = 1_000;
/// Objects and lists within one another in a draft as it is typed: a point of a
/// polygon of one of many places needs 9.
pub const DRAFT_DEPTH_MAX: usize = 32;
/// Messages of one page of a list.
pub const PAGE_MESSAGES_MAX: u32 = 500;
/// Records read for one page before a page token is handed out, however few matched.
pub const PAGE_SCAN_MAX: usize = 20_000;
/// Bytes of the words that bodies are searched for: a line of a screen, in any script.
pub const SEARCH_TEXT_BYTES_MAX: usize = 256;
/// Words that are searched for at once; each costs a look at every text.
pub const SEARCH_WORDS_MAX: usize = 16;
/// Bodies opened and searched for one page before a page token is handed out: a quarter of a second of one
/// core for letters of a kibibyte. Whoever has gone away has the node search no further.
pub const SEARCH_BODIES_MAX: usize = 4_000;
/// Bytes of bodies opened for one page before a page token is handed out, by the same sum; one body may go
/// beyond.
pub const SEARCH_BYTES_MAX: usize = 8 << 20;
/// Past holds of a link that are shown: each was ended by a person.
pub const HOLDS_SHOWN_MAX: usize = 100;
/// Links of one node.
pub const LINKS_MAX: usize = 128;
/// Commands waiting for the recorder: each a group of its own at worst.
pub const RECORDER_QUEUE_MAX: usize = 8_192;
/// Commands of one store commit: beyond 256 the cost per record no longer falls.
pub const GROUP_COMMANDS_MAX: usize = 512;
/// Bytes of one store commit.
pub const GROUP_BYTES_MAX: usize = 16 << 20;
/// Bytes of one batch as the store takes it: a full group and its indexes. A body of nothing but
/// attachments, 38 bytes each, makes 84 bytes of index for each: 2.2 times as much again.
pub const BATCH_BYTES_MAX: usize = 4 * GROUP_BYTES_MAX;
/// Subscribers of the desk's watch.
pub const WATCHERS_MAX: usize = 256;
/// Subscribers of one caller: eight of them do not crowd out the ninth.
pub const CALLER_WATCHERS_MAX: usize = WATCHERS_MAX / 8;
/// Messages that are being recorded for all callers of the desk together; what is urgent has a quarter
/// more.
pub const SUBMITS_MAX: usize = 4_096;
/// Of these, messages that come by streams (`SubmitMany`): three quarters, and of what is urgent a quarter
/// more, 3,840. Streams wait for a place and so take each that becomes free; the last quarter is left to those
/// who call `Submit` and are refused without one.
pub const SUBMITS_BY_STREAMS_MAX: usize = SUBMITS_MAX / 4 * 3;
/// Such messages of one caller, unless the configuration says otherwise: four of them do not crowd
/// out the fifth.
pub const CALLER_SUBMITS_MAX: usize = SUBMITS_MAX / 4;
/// Drafts of one stream of them whose answers have not been read: each its own task, and a refusal of 5 KiB at
/// worst, 20 MiB.
pub const SUBMIT_MANY_MAX: usize = 4_096;
/// Bytes of the drafts of one stream that are being recorded, each at its length or
/// [`SUBMIT_MANY_PART_BYTES`] for each message within it, whichever is more: two of the longest, or a thousand
/// letters of 8 messages each. One that is more than all of it goes alone.
pub const SUBMIT_MANY_BYTES_MAX: usize = 2 * DESK_MESSAGE_BYTES_MAX;
/// What a message within a draft counts: an empty one takes two bytes on the wire and up to so many in memory.
pub const SUBMIT_MANY_PART_BYTES: usize = 1 << 10;
/// A draft that takes more waits for its turn as the bytes that it came in; one of each stream may wait.
pub const SUBMIT_MANY_LIGHT_BYTES_MAX: usize = 64 << 10;
/// Drafts of all streams, each more than [`SUBMIT_MANY_BYTES_MAX`], that are looked at and recorded at a time:
/// at [`MESSAGE_PARTS_MAX`] messages of 1 KiB 128 MiB each, twice over for the copy that is signed, 512 MiB.
pub const SUBMIT_MANY_HEAVY_MAX: usize = 2;
/// Such streams. Each holds at worst answers of 20 MiB, drafts of 8 MiB with their copies, one of 4 MiB that
/// waits and one of 4 MiB of which a part has come: 44 MiB, and with the heavy ones 1.9 GiB if eight callers
/// are hostile.
pub const SUBMIT_STREAMS_MAX: usize = 32;
/// Such streams of one caller.
pub const CALLER_SUBMIT_STREAMS_MAX: usize = SUBMIT_STREAMS_MAX / 8;
/// Time for the next draft of a stream to come whole, once there is room for it: a shift's quiet half hour.
/// Whoever has nothing to send for longer, or sends only half a draft, gives the place back.
pub const SUBMIT_MANY_IDLE_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// Drafts of one stream that are refused with none recorded between: a full default window. After one more
/// the stream ends: whoever goes on all the same does not read what is wrong.
pub const SUBMIT_MANY_REFUSALS_MAX: usize = CALLER_SUBMITS_MAX;
/// How many times the floor must stay free where an ordinary message is recorded: what is below is
/// for receipts, what the peer sends, acknowledgements, FLASH and IMMEDIATE.
pub const BULK_FLOORS: u64 = 2;
/// Uploads under way: each occupies a thread that may block, of tokio's 512.
pub const UPLOADS_MAX: usize = 32;
/// Downloads under way: each holds some 2 MiB.
pub const DOWNLOADS_MAX: usize = 64;
/// Downloads of one caller: four of them do not crowd out the fifth.
pub const CALLER_DOWNLOADS_MAX: usize = DOWNLOADS_MAX / 4;
/// Time between two parts of an upload.
pub const UPLOAD_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Uploads of one caller: four of them do not crowd out the fifth.
pub const CALLER_UPLOADS_MAX: usize = UPLOADS_MAX / 4;
/// Calls of the desk that read the disk, at a time: each occupies a thread that may block, of
/// tokio's 512, and the links need some as well.
pub const READS_MAX: usize = 256;
/// Such calls of one caller.
pub const CALLER_READS_MAX: usize = READS_MAX / 8;
/// Attachments that a peer sends or fetches at a time, on one link. An honest one carries one
/// after the other, on two connections at worst. Each holds some 4 MiB.
pub const LINK_TRANSFERS_MAX: usize = 8;
/// Wait before a file that could not be carried is tried again.
pub const TRANSFER_RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// How many times the floor must stay free where a part of an attachment is written, so that
/// files fill no disk on which alerts could still be recorded.
pub const ATTACHMENT_FLOORS: u64 = 4;
/// A bundle: every file of one message, 64 of 1 GiB, and as much again of entries with their bodies.
pub const BUNDLE_BYTES_MAX: u64 = 2 * 64 * ATTACHMENT_BYTES_MAX;
/// What is sealed at once in a bundle: its size tells a finder no more than the number of these.
pub const BUNDLE_SEGMENT_BYTES: usize = 64 << 10;
/// The text at the beginning of a bundle: two node names, a time, an id, three short paragraphs.
pub const BUNDLE_PREAMBLE_BYTES_MAX: usize = 4 << 10;
/// One piece of a bundle: the largest frame, and the tag and length around it.
pub const BUNDLE_PIECE_BYTES_MAX: usize = FRAME_BYTES_MAX + 16;
/// Bytes read of a bundle's file at once.
pub const BUNDLE_READ_BYTES: usize = 256 << 10;
/// Bundles that a bundle answers: those that may have been on the road at once.
pub const BUNDLE_ANSWERS_MAX: usize = 8;
/// Bundles made since the node started whose answers are known as such, per link: one each hour for
/// ten days.
pub const BUNDLES_ISSUED_MAX: usize = 256;
/// Bundles made or taken at a time: each occupies a thread and reads or writes whole logs.
pub const BUNDLES_MAX: usize = 2;
/// Exports under way: each occupies a thread and reads whole logs.
pub const EXPORTS_MAX: usize = 4;
/// What tells of one refused call beside its code. It travels in HTTP/2 trailers, of which some
/// clients take 8 KiB: 4 KiB of details in base64 make 5.4 KiB, the message percent-encoded three
/// times its length, and twice over since the details repeat it.
pub const REFUSAL_DETAILS_BYTES_MAX: usize = 4 << 10;
/// See [`REFUSAL_DETAILS_BYTES_MAX`].
pub const REFUSAL_MESSAGE_BYTES_MAX: usize = 512;
/// Open connections of one listener.
pub const CONNECTIONS_MAX: usize = 512;
/// Time for a TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for the first frame of a session.
pub const HELLO_TIME_MAX: Duration = Duration::from_secs(10);
/// Time to tell the peer why a session ends; the peer may no longer read.
pub const FAREWELL_TIME_MAX: Duration = Duration::from_secs(2);
/// What a Fault may say, each of its texts.
pub const FAULT_TEXT_BYTES_MAX: usize = 1 << 10;
/// A session whose peer says nothing, or takes no frame, for so long is over: three heartbeats. A
/// frame of 1.1 MiB passes within it at 50 kbit/s.
pub const SILENCE_TIME_MAX: Duration = Duration::from_secs(3 * 60);
/// Time in which a caller must read on what it asked for; as a peer must.
pub const READER_TIME_MAX: Duration = SILENCE_TIME_MAX;
/// Time for a peer to answer that it opens a session; it may be made to wait for it, see
/// [`SESSIONS_PER_SECOND_MAX`].
pub const SESSION_OPEN_TIME_MAX: Duration = Duration::from_secs(30);
/// A heartbeat with a dated checkpoint.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);
/// Heartbeats taken at once; after that one a second, sixty times what is due. More are not looked at.
pub const HEARTBEATS_BURST_MAX: u32 = 8;
/// HTTP/2 keepalive: a ping every 10 s, its answer within 5 s.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE_INTERVAL`].
pub const KEEPALIVE_TIME_MAX: Duration = Duration::from_secs(5);
/// First wait before dialling again.
pub const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest wait before dialling again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Difference of clocks beyond which both sides flag it.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(120);
/// Time for running work when told to stop.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Of that, for pushing what is recorded and taking its receipts.
pub const DRAIN_PUSH_TIME_MAX: Duration = Duration::from_secs(3);
/// From when on whoever still has a call open while the node goes down is cut: two seconds for
/// connections without one, and what remains of the ten for the store to close.
pub const DRAIN_CUT_TIME: Duration = Duration::from_secs(5);
/// Free disk space below which nothing more is recorded.
pub const DISK_FREE_BYTES_MIN: u64 = 64 << 20;
/// Bytes set aside in a file of their own, given back when the disk is full.
pub const BALLAST_BYTES: u64 = 16 << 20;
/// How often the free space is looked at.
pub const SPACE_INTERVAL: Duration = Duration::from_secs(10);
/// How often old uploads are looked for.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(3_600);
/// How long an upload waits to be named by a message.
pub const UPLOAD_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How long an unfinished file waits for its next part: the line may be down for weeks.
pub const PARTIAL_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Incidents of one cause that one peer can bring about at once: 32 of 8 KiB.
pub const INCIDENTS_BURST_MAX: u32 = 32;
/// After these, one more each: 24 a day for each cause.
pub const INCIDENTS_INTERVAL: Duration = Duration::from_secs(3_600);
/// Frames of one session that are taken at once: two whole windows of single entries and their
/// receipts.
pub const FRAMES_BURST_MAX: u32 = 16_384;
/// Frames a second after that; more are not read, and the peer waits. Twice what two disks that
/// answer at once can make of single entries.
pub const FRAMES_PER_SECOND_MAX: u32 = 8_192;
/// Sessions that a peer may open here at once: a line that flaps.
pub const SESSIONS_BURST_MAX: u32 = 30;
/// Sessions a second after that; the next one waits.
pub const SESSIONS_PER_SECOND_MAX: u32 = 1;
/// Sessions of a peer that wait to be opened; one more is refused.
pub const SESSIONS_WAITING_MAX: usize = 2;
/// Identities whose quotas are held in memory, at some 300 bytes. What each has taken of its day is
/// in the store.
pub const METERS_MAX: usize = 4_096;
/// What an identity may take of a day whatever its share of the disk is: the largest run of the
/// mirror four times over, so that each fits an empty day.
pub const QUOTA_DAY_BYTES_MIN: u64 = 64 << 20;
/// Findings that a verdict lists; the rest is counted. 300 bytes each: 3 MiB.
pub const FINDINGS_MAX: usize = 10_000;
/// Logs of one export: both directions of every link.
pub const EXPORT_LOGS_MAX: usize = 2 * LINKS_MAX;
/// Keys of one export: three roles, two sides, five periods of validity per link.
pub const EXPORT_KEYS_MAX: usize = 3 * 2 * 5 * LINKS_MAX;
/// Keys of one role and name that are tried on a checkpoint: 4^3 combinations.
pub const ROLE_KEYS_MAX: usize = 4;
/// Files of one export: 2,000,000 entries with four files each, and tiles.
pub const EXPORT_FILES_MAX: usize = 8_500_000;
/// The manifest: 130 bytes of path and digest per file, rounded up.
pub const MANIFEST_BYTES_MAX: usize = 1 << 30;
/// Folders within folders of an export: log, tile, level, six parts of an index, `.p`.
pub const EXPORT_DEPTH_MAX: usize = 12;
/// A notification or envelope as JSON: a body of 1 MiB, six bytes for an escaped one, twice over.
pub const EXPORT_JSON_BYTES_MAX: usize = 12 * BODY_BYTES_MAX;
/// Entries that a report names of one figure. The largest answer has some 300 figures; those of a
/// busy year have a few hundred entries each, at 80 bytes.
pub const REPORT_ENTRIES_MAX: usize = 1_000;
/// What one answer lists of what is owed: at some 1,000 bytes each it stays under
/// [`DESK_MESSAGE_BYTES_MAX`], which clients take at most. What is due last is counted only.
pub const DUES_LISTED_MAX: usize = 2_000;
/// Calendars that count of one side of a link: eight a year for 64 years. For each deadline in working
/// days all of them are looked at, and all of them again when one more comes.
pub const CALENDARS_MAX: usize = 512;
/// Rosters that count of one side of a link: one a week for 78 years.
pub const ROSTERS_MAX: usize = 4_096;
/// Entries of one piece of a backup: a power of two, so that the hashes of the pieces make up the
/// log's root. At 8 KiB a record, 8 MiB are sent again because one entry is new.
pub const BACKUP_SEGMENT_ENTRIES: u64 = 1_024;
/// `BACKUP.json`: 250 bytes for each piece of 1,024 entries and as much for its checkpoints; a
/// hundred million entries take 48 MiB.
pub const BACKUP_MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Entries, checkpoints or rows of one message of a backup: 64 values of 8 KiB and their keys.
pub const BACKUP_ITEMS_MAX: usize = 64;
/// Names of files in one message of a backup, at 45 bytes each.
pub const BACKUP_NAMES_MAX: usize = 1_024;
/// Files of a configuration: two of each link and that of the node, twice over.
pub const BACKUP_CONFIG_FILES_MAX: usize = 2 * (2 * LINKS_MAX + 1);
/// A file of the configuration: a card with every authority and revoked key is some 20 KiB.
pub const BACKUP_CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Logs that a backup says it holds: those of every link, and of links that were configured once.
pub const BACKUP_HELD_MAX: usize = 8 * LINKS_MAX;
/// What names who did something in the journal: a role, a slash and a name of a certificate.
pub const JOURNAL_WHO_BYTES_MAX: usize = 320;
/// What something was done to, where that is no message: a call, a role of a key.
pub const JOURNAL_WHAT_BYTES_MAX: usize = 128;
/// A deed, serialized: who 320, peer 253, id 36, why 512, what 128, digest 32, salt 16, and some 60 for
/// times, numbers and the tags.
pub const JOURNAL_ENTRY_BYTES_MAX: usize = 1_536;
/// Deeds that wait for the journal's writer, 1.5 KiB each.
pub const JOURNAL_QUEUE_MAX: usize = 1_024;
/// Deeds of one commit: one tile's worth.
pub const JOURNAL_GROUP_MAX: usize = 256;
/// Deeds in one answer.
pub const JOURNAL_PAGE_MAX: u32 = 500;
/// Deeds looked at for one page; the next call goes on behind them.
pub const JOURNAL_SCAN_MAX: u64 = 65_536;
/// Free space below which nothing is journalled, in bytes; the node's own floor if that is lower. Reading
/// goes on long after nothing more is taken in: a deed is 200 bytes.
pub const JOURNAL_FLOOR_BYTES: u64 = 4 << 20;
/// Page cache of the journal's store.
pub const JOURNAL_CACHE_BYTES: u64 = 1 << 20;
/// Held back on the disk so that the journal's store opens when it is full.
pub const JOURNAL_BALLAST_BYTES: u64 = 8 << 20;
/// How often one refusal of one caller is journalled; those between are counted.
pub const JOURNAL_REFUSAL_INTERVAL: Duration = Duration::from_secs(60);
/// How long something waits to be journalled before it is refused.
pub const JOURNAL_NOTE_TIME_MAX: Duration = Duration::from_secs(10);
/// The same where it goes on without: a login, an alert that is shown without its body.
pub const JOURNAL_HURRY_TIME_MAX: Duration = Duration::from_secs(2);
/// The same while the journal's disk has just been found to hang.
pub const JOURNAL_HUNG_TIME_MAX: Duration = Duration::from_millis(50);
/// How often a program's coming is journalled; it may connect for each call.
pub const JOURNAL_LOGIN_INTERVAL: Duration = Duration::from_secs(3_600);
/// Callers and calls whose repetitions are counted, 400 bytes each. The oldest makes room.
pub const JOURNAL_COUNTED_MAX: usize = 1_024;
/// A note of a journal as its node sends it: 600 bytes with two lines, and names of 253 bytes.
pub const JOURNAL_NOTE_BYTES_MAX: usize = 4 << 10;

/// Bytes of what a copy of the key files is called: a path, or a place in words.
pub const KEY_COPY_LABEL_BYTES_MAX: usize = 256;
/// Copies of the key files on the list: one a day for eleven years.
pub const KEY_COPIES_MAX: usize = 4_096;
/// Hashes of a consistency proof: at most 65 for a tree of 2^63 leaves.
pub const JOURNAL_PROOF_HASHES_MAX: usize = 65;
/// Notes that are kept of each peer, of this node's journal and of the peer's: one a day for eleven years, 1 KiB
/// each. The oldest makes room.
pub const JOURNAL_NOTES_MAX: usize = 4_096;
/// How often a journal is offered to a peer, if something was noted.
pub const JOURNAL_OFFER_INTERVAL: Duration = HEARTBEAT_INTERVAL;
/// Offers of a peer's journal that are looked at in one session in one go; one more each interval.
pub const JOURNAL_OFFERS_BURST_MAX: u32 = 4;
/// Sessions in a row in which a peer that was witnessed shows no journal before it is an incident, if none of
/// them lasts for an interval.
pub const JOURNAL_SILENT_SESSIONS_MAX: u32 = 3;
/// Frames about journals that wait to be looked at; each has at most 8 KiB.
pub const JOURNAL_FRAMES_MAX: usize = 4;
