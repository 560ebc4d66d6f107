//! Node to peer: gRPC over mutual TLS.
