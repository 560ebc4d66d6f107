//! What is printed on paper: a message in, a page out. No I/O, no clock.
//!
//! - [`letter`]: an official letter as one page for printing, with its receipt.
//! - [`qr`]: the text of the code on that page.
//! - [`check`]: compares such a text with what is on record.
//! - [`report`]: the figures of a period, for spreadsheets and as one page with charts.
//! - [`chart`]: bars as SVG. [`plot`]: lines as a file of SVG. [`csv`]: values that spreadsheets do not evaluate.
//! - [`html`]: the writer through which all text becomes data, and the frame of a page.
//! - [`words`]: labels in three languages, times and places.
//!
//! Architecture invariant: text from a message reaches a page through [`html::Html::text`] and its
//! like only. Tags, classes and attribute names are the program's own (`&'static str`), so that no
//! text of a message can become markup.
//!
//! Whoever calls brings the message and its receipt: the command line from the desk's answers, and
//! so may any other door.

pub mod chart;
pub mod check;
pub mod csv;
pub mod html;
pub mod letter;
mod letter_page;
pub mod plot;
pub mod qr;
pub mod report;
mod report_page;
pub mod words;
