//! Generated message and service types of `proto/liaison/v1`, and their descriptors.
//!
//! Pure data without behaviour. Bodies are used as they are by [`crate::model`], which holds the
//! rules; declaring the same forty messages twice would only let them drift apart.

/// Package `liaison.v1`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated code; the proto files carry the documentation"
)]
pub mod v1 {
    tonic::include_proto!("liaison.v1");
}

/// Serialized `google.protobuf.FileDescriptorSet` of every file, with comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/liaison.binpb"));
