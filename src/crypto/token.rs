//! A message key that lies in a PKCS#11 token and never leaves it (feature `pkcs11`), and an AES key that
//! wraps the storage key.
//!
//! A token can vanish and come back: each signature finds its session or opens a new one. A token
//! can be faulty: no signature leaves here that was not verified strictly under the public key that
//! the configuration names. A wrong PIN is tried once and not again, or the token would lock itself.
//!
//! Sources: OASIS PKCS#11 v3.0 (`CKM_EDDSA`, `CKK_EC_EDWARDS`); RFC 8410 for the public key.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use ed25519_dalek::{Signature, VerifyingKey};
use zeroize::Zeroizing;

use super::keys::SignError;
use super::token_uri::TokenUri;
use super::vkey::{Algorithm, VerifierKey};

/// Bytes of the nonce of what is wrapped.
const NONCE_BYTES: usize = 12;
const TAG_BITS: u64 = 128;

/// A private key in a token.
pub(in crate::crypto) struct TokenKey {
    uri: TokenUri,
    pin: Zeroizing<String>,
    context: Pkcs11,
    public: VerifyingKey,
    seat: Mutex<Seat>,
}

/// The way to the key, while there is one.
#[derive(Default)]
struct Seat {
    open: Option<(Session, ObjectHandle)>,
    /// The token has refused the PIN: it is not tried again.
    refused: Option<String>,
}

impl TokenKey {
    /// Opens the token and finds the key.
    ///
    /// # Errors
    /// [`SignError`] says what is missing.
    pub(in crate::crypto) fn open(
        uri: TokenUri,
        pin: Zeroizing<String>,
    ) -> Result<Self, SignError> {
        let context = Pkcs11::new(&uri.module).map_err(|error| away(&uri, &error))?;
        initialize(&context).map_err(|error| away(&uri, &error))?;
        let mut seat = Seat::default();
        let (session, private) = connect(&context, &uri, &pin, &mut seat)?;
        let public = public_key(&session, &uri)?;
        seat.open = Some((session, private));
        Ok(Self {
            uri,
            pin,
            context,
            public,
            seat: Mutex::new(seat),
        })
    }

    /// The public key, as the token gave it when it was opened.
    pub(in crate::crypto) fn public(&self) -> VerifyingKey {
        self.public
    }

    /// Signs, and verifies what came of it. A session that no longer works is given up, and a new one
    /// is tried once.
    pub(in crate::crypto) fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        let first = match &seat.open {
            Some((session, private)) => self.sign_in(session, *private, message),
            None => Err(SignError::Away {
                what: String::new(),
            }),
        };
        let outcome = first.or_else(|_| {
            // Before the next one: some tokens have few sessions.
            seat.open = None;
            let (session, private) = connect(&self.context, &self.uri, &self.pin, &mut seat)?;
            // Another key may lie there under the same name now.
            if public_key(&session, &self.uri)? != self.public {
                return Err(SignError::OtherKey);
            }
            let signed = self.sign_in(&session, private, message)?;
            seat.open = Some((session, private));
            Ok(signed)
        });
        if let Err(error) = &outcome {
            tracing::error!(%error, "the token does not sign");
        }
        outcome
    }

    fn sign_in(
        &self,
        session: &Session,
        private: ObjectHandle,
        message: &[u8],
    ) -> Result<[u8; 64], SignError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
        let signature = session
            .sign(&mechanism, private, message)
            .map_err(|error| away(&self.uri, &error))?;
        let signature: [u8; 64] = signature.try_into().map_err(|_| SignError::Faulty)?;
        self.public
            .verify_strict(message, &Signature::from_bytes(&signature))
            .map_err(|_| SignError::Faulty)?;
        Ok(signature)
    }
}

/// A session of its own and the AES key that wraps the storage key.
fn wrapping_key(uri: &TokenUri, pin: &str) -> Result<(Pkcs11, Session, ObjectHandle), SignError> {
    let context = Pkcs11::new(&uri.module).map_err(|error| away(uri, &error))?;
    initialize(&context).map_err(|error| away(uri, &error))?;
    let session = log_in(&context, uri, pin, &mut Seat::default())?;
    let key = one_object(&session, uri, ObjectClass::SECRET_KEY)?;
    Ok((context, session, key))
}

/// Wraps a secret with the AES key that the URI names: nonce, ciphertext, tag (AES-GCM). What came of it
/// is unwrapped again before it is returned.
///
/// # Errors
/// [`SignError`]; [`SignError::Faulty`] when the token does not give the secret back.
pub(in crate::crypto) fn wrap(
    uri: &TokenUri,
    pin: &str,
    bound_to: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, SignError> {
    let (_context, session, key) = wrapping_key(uri, pin)?;
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| SignError::Away {
        what: error.to_string(),
    })?;
    let mut wrapped = nonce.to_vec();
    let gcm = GcmParams::new(&mut nonce, bound_to, TAG_BITS.into()).map_err(|e| away(uri, &e))?;
    let sealed = session.encrypt(&Mechanism::AesGcm(gcm), key, secret);
    wrapped.extend(sealed.map_err(|error| away(uri, &error))?);
    match unwrap_in(&session, key, bound_to, &wrapped) {
        Ok(back) if *back == secret => Ok(wrapped),
        _ => Err(SignError::Faulty),
    }
}

/// Unwraps what [`wrap`] made.
///
/// # Errors
/// [`SignError`]; [`SignError::OtherKey`] when it was wrapped by another key, bound to something else, or
/// changed.
pub(in crate::crypto) fn unwrap(
    uri: &TokenUri,
    pin: &str,
    bound_to: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SignError> {
    let (_context, session, key) = wrapping_key(uri, pin)?;
    unwrap_in(&session, key, bound_to, wrapped).map_err(|error| match error {
        Some(Error::Pkcs11(RvError::DeviceRemoved | RvError::TokenNotPresent, _)) => {
            SignError::Away {
                what: uri.module.display().to_string(),
            }
        }
        _ => SignError::OtherKey,
    })
}

fn unwrap_in(
    session: &Session,
    key: ObjectHandle,
    bound_to: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Option<Error>> {
    let (nonce, sealed) = wrapped.split_at_checked(NONCE_BYTES).ok_or(None)?;
    let mut nonce = nonce.to_vec();
    let gcm = GcmParams::new(&mut nonce, bound_to, TAG_BITS.into())?;
    let opened = session.decrypt(&Mechanism::AesGcm(gcm), key, sealed)?;
    Ok(Zeroizing::new(opened))
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

fn initialize(context: &Pkcs11) -> Result<(), Error> {
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match context.initialize(arguments) {
        // By another key of this process.
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        outcome => outcome,
    }
}

/// A session in which the key can be used.
fn connect(
    context: &Pkcs11,
    uri: &TokenUri,
    pin: &str,
    seat: &mut Seat,
) -> Result<(Session, ObjectHandle), SignError> {
    let session = log_in(context, uri, pin, seat)?;
    let private = one_object(&session, uri, ObjectClass::PRIVATE_KEY)?;
    Ok((session, private))
}

fn log_in(
    context: &Pkcs11,
    uri: &TokenUri,
    pin: &str,
    seat: &mut Seat,
) -> Result<Session, SignError> {
    if let Some(what) = &seat.refused {
        return Err(SignError::Pin { what: what.clone() });
    }
    let slot = slot_of(context, uri)?;
    let session = context
        .open_ro_session(slot)
        .map_err(|error| away(uri, &error))?;
    match session.login(UserType::User, Some(&AuthPin::from(pin.to_owned()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(
            error @ Error::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::UserPinNotInitialized,
                _,
            ),
        ) => {
            let what = error.to_string();
            seat.refused = Some(what.clone());
            return Err(SignError::Pin { what });
        }
        Err(error) => return Err(away(uri, &error)),
    }
    Ok(session)
}

fn slot_of(context: &Pkcs11, uri: &TokenUri) -> Result<Slot, SignError> {
    let slots = context
        .get_slots_with_initialized_token()
        .map_err(|error| away(uri, &error))?;
    let is_meant = |slot: &Slot| {
        context.get_token_info(*slot).is_ok_and(|info| {
            uri.token
                .as_deref()
                .is_none_or(|label| label == info.label())
                && uri
                    .serial
                    .as_deref()
                    .is_none_or(|serial| serial == info.serial_number())
        })
    };
    let mut meant = slots.into_iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(slot), None) => Ok(slot),
        (None, _) => Err(missing(
            "the token",
            "is not there; put it in, or start what serves it",
        )),
        (Some(_), Some(_)) => Err(missing(
            "the token",
            "is there twice; add its serial to the URI",
        )),
    }
}

/// The one object of a class that the URI names.
fn one_object(
    session: &Session,
    uri: &TokenUri,
    class: ObjectClass,
) -> Result<ObjectHandle, SignError> {
    let key_type = if class == ObjectClass::SECRET_KEY {
        KeyType::AES
    } else {
        KeyType::EC_EDWARDS
    };
    let mut template = vec![Attribute::Class(class), Attribute::KeyType(key_type)];
    template.extend(
        uri.object
            .as_ref()
            .map(|label| Attribute::Label(label.as_bytes().to_vec())),
    );
    template.extend(uri.id.clone().map(Attribute::Id));
    let found = session
        .find_objects(&template)
        .map_err(|error| away(uri, &error))?;
    let what = if class == ObjectClass::PRIVATE_KEY {
        "the private key"
    } else if class == ObjectClass::SECRET_KEY {
        "the key that wraps the storage key"
    } else {
        "the public key"
    };
    match found[..] {
        [object] => Ok(object),
        [] if class == ObjectClass::SECRET_KEY => Err(missing(
            what,
            "is not on the token as an AES key under that object and id",
        )),
        [] => Err(missing(
            what,
            "is not on the token as an Edwards key; both halves must lie there under the same object and id",
        )),
        _ => Err(missing(
            what,
            "is there more than once; name object and id in the URI",
        )),
    }
}

/// The public key beside the private one: 32 bytes, as they are or in an OCTET STRING, or in a BIT
/// STRING, as tokens of different ages give them.
fn public_key(session: &Session, uri: &TokenUri) -> Result<VerifyingKey, SignError> {
    let object = one_object(session, uri, ObjectClass::PUBLIC_KEY)?;
    let attributes = session
        .get_attributes(object, &[AttributeType::EcPoint])
        .map_err(|error| away(uri, &error))?;
    let point = attributes
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::EcPoint(point) => Some(point),
            _ => None,
        });
    let point = point.unwrap_or_default();
    let wrapped: [&[u8]; 2] = [&[0x04, 0x20], &[0x03, 0x21, 0x00]];
    let bytes = wrapped
        .iter()
        .filter_map(|wrapping| point.strip_prefix(*wrapping))
        .find(|bytes| bytes.len() == 32)
        .unwrap_or(&point);
    let key = <&[u8; 32]>::try_from(bytes)
        .ok()
        .and_then(|bytes| VerifyingKey::from_bytes(bytes).ok())
        // As everywhere: canonical and of prime order, or others would judge it differently.
        .filter(|key| VerifierKey::new("a", Algorithm::Ed25519, *key).is_ok());
    key.ok_or_else(|| missing("the public key", "is no Ed25519 key"))
}

fn missing(what: &str, why: &str) -> SignError {
    SignError::Missing {
        what: format!("{what} {why}"),
    }
}

/// The token's own words, with the library that said them.
fn away(uri: &TokenUri, error: &Error) -> SignError {
    SignError::Away {
        what: format!("{}: {error}", uri.module.display()),
    }
}
