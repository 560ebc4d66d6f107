//! What a message says, as it lies among its case's: sealed under the key of its body.
//!
//! ```text
//! 255 ‖ where the key is (6) ‖ sealed (crypto::at_rest) of the packed facts
//! ```
//!
//! Packed facts name nobody, and yet they tell of persons: how many, which of them is a minor alone or
//! claims protection. So they are kept as the body is, and are gone when its key is: after that a message
//! says what its header says. Facts of a body that does not lie sealed are packed as they are, and begin
//! with their version, which is never 255.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::command::Packed;
use super::layout::StoredBody;
use super::read::BodyError;
use crate::crypto::at_rest::{self, Context};
use crate::limits::FRESH_BYTES_MAX;
use crate::model::MessageId;
use crate::model::workflow::{Facts, Said};
use crate::store::{KeyAddress, Vault};

/// First byte of facts that are sealed.
const SEALED: u8 = 0xff;

/// What sealed facts belong to. The key is the body's alone, which says which message it is.
struct FactsContext<'a>([&'a [u8]; 2]);

impl<'a> FactsContext<'a> {
    fn of(case: &'a MessageId) -> Self {
        Self([b"facts", case.as_bytes()])
    }

    fn as_context(&self) -> Context<'_> {
        Context(&self.0)
    }
}

/// Facts as they are kept beside a body that lies like this. `None` if they cannot be sealed: then they
/// are not kept, and are read from the body when somebody asks.
pub(super) fn keep(facts: &Facts, body: &StoredBody, vault: Option<&Vault>) -> Option<Packed> {
    let case = facts.thread;
    let packed = Zeroizing::new(facts.pack());
    let is_small = packed.len() <= FRESH_BYTES_MAX;
    let bytes = match body.key() {
        // Whoever read the body a moment ago is late: what it said is forgotten.
        None if *body == StoredBody::Absent && !tells_nothing(facts) => return None,
        None => packed.to_vec(),
        // Header and nothing else: what is made anew of an erased message.
        Some(_) if tells_nothing(facts) => packed.to_vec(),
        Some(address) => seal(vault?, address, &case, &packed)?,
    };
    let facts = is_small.then(|| Arc::new(facts.clone()));
    Some(Packed { case, bytes, facts })
}

/// Whether facts hold nothing that is taken from a body.
fn tells_nothing(facts: &Facts) -> bool {
    matches!(facts.said, Said::Erased | Said::Unknown)
}

fn seal(vault: &Vault, address: KeyAddress, case: &MessageId, packed: &[u8]) -> Option<Vec<u8>> {
    let key = vault.key(address).ok()?;
    let context = FactsContext::of(case);
    let sealed = at_rest::seal(&key, context.as_context(), packed).ok()?;
    Some([&[SEALED][..], &address.encode(), &sealed].concat())
}

/// Facts as [`keep`] wrote them. `None` of what has to be made anew: another version, damage, or facts of
/// a message that was erased.
pub(super) fn kept(case: MessageId, value: &[u8], vault: Option<&Vault>) -> Option<Facts> {
    let Some(sealed) = value.strip_prefix(&[SEALED]) else {
        return Facts::unpack(case, value);
    };
    let packed = Zeroizing::new(open(vault, &case, sealed).ok()?);
    Facts::unpack(case, &packed)
}

fn open(vault: Option<&Vault>, case: &MessageId, sealed: &[u8]) -> Result<Vec<u8>, BodyError> {
    let (address, sealed) = sealed.split_first_chunk().ok_or(BodyError::Damaged)?;
    let vault = vault.ok_or(BodyError::NoVault)?;
    let key = vault
        .key(KeyAddress::decode(*address))
        .map_err(BodyError::Keys)?;
    let context = FactsContext::of(case);
    at_rest::open(&key, context.as_context(), sealed).map_err(|_| BodyError::Damaged)
}
