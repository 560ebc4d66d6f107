//! Figures of a period, and the joint report on them.

#[path = "report/figures.rs"]
mod figures;
#[path = "report/joint.rs"]
mod joint;
#[path = "report/seen.rs"]
mod seen;
#[path = "report/world.rs"]
mod world;
