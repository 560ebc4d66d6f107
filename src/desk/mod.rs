//! Own people and programs to their node.
