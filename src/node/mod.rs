//! Configuration to running node.
