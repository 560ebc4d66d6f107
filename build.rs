//! Compiles `proto/` without a system `protoc`, and keeps the descriptor set for reflection and
//! canonical JSON.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;
use prost_types::FileDescriptorSet;

const FILES: [&str; 15] = [
    "liaison/v1/envelope.proto",
    "liaison/v1/notification.proto",
    "liaison/v1/exchange.proto",
    "liaison/v1/desk.proto",
    "liaison/v1/audit.proto",
    "liaison/v1/link.proto",
    "liaison/v1/backup.proto",
    "liaison/v1/bundle.proto",
    "liaison/v1/erasure.proto",
    "liaison/v1/journal.proto",
    "liaison/v1/keys.proto",
    "liaison/v1/key_copies.proto",
    "liaison/v1/handling.proto",
    "liaison/v1/figures.proto",
    "liaison/v1/retention.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();
    std::fs::write(
        out.join("liaison.binpb"),
        with_comments_only(descriptors.clone()).encode_to_vec(),
    )?;

    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).enable_type_names();
    tonic_prost_build::configure()
        .codec_path("crate::link::codec::BoundedCodec")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}

/// Of the source information, what is said in comments: templates, pages and reflection show it. The
/// places of everything else would make the binary's copy more than half as large again.
fn with_comments_only(mut set: FileDescriptorSet) -> FileDescriptorSet {
    for info in set
        .file
        .iter_mut()
        .filter_map(|file| file.source_code_info.as_mut())
    {
        info.location.retain(|location| {
            location.leading_comments.is_some() || location.trailing_comments.is_some()
        });
    }
    set
}
