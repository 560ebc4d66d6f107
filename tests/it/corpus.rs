//! What the fuzzer has kept, run once through each target: whatever was found stays found.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use liaison::model::sample::SAMPLES;
use liaison::model::{body, json};
use liaison::node::template;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own as well")]
mod targets;

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus"))
}

#[test]
fn every_kept_input_passes_its_target() {
    let mut named = BTreeSet::new();
    for (name, target) in targets::TARGETS {
        named.insert(name.to_owned());
        let inputs = fs::read_dir(corpus().join(name)).unwrap();
        let mut count = 0;
        for input in inputs {
            target(&fs::read(input.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has nothing to begin with");
        target(&[]);
    }
    let kept = fs::read_dir(corpus()).unwrap();
    let kept: BTreeSet<_> = kept
        .map(|dir| dir.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(kept, named, "a corpus without a target, or the reverse");
}

#[test]
fn every_target_has_its_program() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"));
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        let program = format!("fuzz_targets/{name}.rs");
        assert!(
            manifest.contains(&format!("path = \"{program}\"")),
            "{name}"
        );
        let program = fs::read_to_string(dir.join(program)).unwrap();
        assert!(
            program.contains(&format!("liaison_fuzz::{name}(data)")),
            "{name}"
        );
    }
}

/// The samples are the best seeds of those targets that read whole messages.
#[test]
fn the_samples_pass_the_targets_of_their_forms() {
    for sample in SAMPLES {
        targets::draft(sample.json.as_bytes());
        targets::json(sample.json.as_bytes());
        let draft = sample.draft().unwrap();
        let content = draft.body.unwrap().body.unwrap();
        let kind = u8::try_from(body::kind_of(&content) as i32).unwrap();
        targets::body(&[&[kind], body::encode(&content).as_ref()].concat());
        assert!(json::from_json::<liaison::proto::v1::Draft>(sample.json).is_ok());
    }
    let seed = template::ConfigSeed {
        node: liaison::model::NodeName::parse("laocai.bg.vn.example").unwrap(),
        time_zone: "Asia/Ho_Chi_Minh".to_owned(),
        listen: "127.0.0.1:7443".parse().unwrap(),
        endpoints: Vec::new(),
        desk_tcp: None,
        passphrase: "prompt".to_owned(),
        example_ca: false,
    };
    targets::config(template::default_config_text(&seed).as_bytes());
}
