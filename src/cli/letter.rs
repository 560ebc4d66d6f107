//! `liaison letter`: official letters on paper.

mod check;
mod print;

use clap::Subcommand;

use super::connect::{Desk, Target};
use super::exit::{Done, Failure};
use super::in_turn;
use super::print::Screen;
use super::show::get;
use crate::proto::v1::{self, Kind};

/// Answers that are fetched to see whether one takes the letter back or replaces it.
const ANSWERS_MAX: usize = 64;

/// Official letters on paper: printing one, and checking the code on a printed one.
#[derive(Debug, Subcommand)]
pub(crate) enum Letter {
    Print(print::Print),
    Check(check::Check),
}

impl Letter {
    pub(crate) fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Print(print) => in_turn(print.run(target, screen)),
            Self::Check(check) => check.run(target, screen),
        }
    }
}

/// The messages of the same author that take a message back or replace it, oldest first.
async fn followers(desk: &Desk, message: &v1::Message) -> Result<Vec<v1::Message>, Failure> {
    let mut followers = Vec::new();
    for id in message.answers.iter().take(ANSWERS_MAX) {
        let answer = get(desk, id).await?;
        if answer.supersedes == message.id && answer.side == message.side {
            followers.push(answer);
        }
    }
    Ok(followers)
}

fn is_withdrawal(message: &v1::Message) -> bool {
    message.kind() == Kind::Withdrawal
}
