//! What was typed to printed answer.
