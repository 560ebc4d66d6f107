//! Where a key lies in a PKCS#11 token: a URI as RFC 7512 writes it.
//!
//! Stricter than the RFC: an attribute that is not known here is refused, since what it narrows
//! down would not be; token and object must both be named, so that no other key is found by
//! chance; and a PIN never stands in a configuration.

use std::path::PathBuf;

/// What a configuration value begins with that means a key in a token.
pub const SCHEME: &str = "pkcs11:";

/// A key in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUri {
    /// The library that speaks to the token; an absolute path.
    pub module: PathBuf,
    /// Label of the token (`token`).
    pub token: Option<String>,
    /// Its serial number (`serial`).
    pub serial: Option<String>,
    /// Label of the key (`object`).
    pub object: Option<String>,
    /// Its `CKA_ID` (`id`).
    pub id: Option<Vec<u8>>,
}

/// Why a text is no such URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenUriError {
    /// Another scheme.
    #[error("it does not begin with {SCHEME}")]
    Scheme,
    /// Not `name=value`, or a percent sign without two hex digits.
    #[error("\"{part}\" is not name=value with percent-encoding")]
    Malformed {
        /// The attribute.
        part: String,
    },
    /// An attribute twice.
    #[error("{name} is given twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// An attribute that is not known here.
    #[error(
        "{name} is not known here; use token, serial, object, id and type before the question mark, \
         module-path behind it"
    )]
    Unknown {
        /// Which.
        name: String,
    },
    /// A PIN, or where it is.
    #[error("{name} must not stand in a configuration; say where the PIN comes from in keys.pin")]
    Pin {
        /// Which.
        name: String,
    },
    /// Something other than a private key.
    #[error("type is \"{found}\", a private key is wanted: type=private, or leave it out")]
    Type {
        /// What it is.
        found: String,
    },
    /// The library is not named.
    #[error(
        "module-path is missing or not absolute; add ?module-path=/usr/lib/softhsm/libsofthsm2.so, or whichever library came with the token"
    )]
    Module,
    /// The token is not named.
    #[error("neither token nor serial says which token is meant")]
    Token,
    /// The key is not named.
    #[error("neither object nor id says which key is meant")]
    Object,
    /// Not UTF-8 where text must be.
    #[error("{name} is not text")]
    NotText {
        /// Which.
        name: String,
    },
}

impl TokenUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`TokenUriError`] names the attribute and the remedy.
    pub fn parse(text: &str) -> Result<Self, TokenUriError> {
        use TokenUriError as E;
        let rest = text.strip_prefix(SCHEME).ok_or(E::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut found: Vec<(&str, Vec<u8>)> = Vec::new();
        let parts = path.split(';').map(|part| (part, false));
        let parts = parts.chain(query.split('&').map(|part| (part, true)));
        for (part, is_query) in parts.filter(|(part, _)| !part.is_empty()) {
            let malformed = || E::Malformed {
                part: part.to_owned(),
            };
            let (name, value) = part.split_once('=').ok_or_else(malformed)?;
            let named = || name.to_owned();
            match (is_query, name) {
                (true, "module-path") | (false, "token" | "serial" | "object" | "id" | "type") => {}
                (true, "pin-value" | "pin-source") => return Err(E::Pin { name: named() }),
                _ => return Err(E::Unknown { name: named() }),
            }
            if found.iter().any(|(known, _)| *known == name) {
                return Err(E::Twice { name: named() });
            }
            found.push((name, decoded(value).ok_or_else(malformed)?));
        }
        let mut take = |name: &str| {
            let at = found.iter().position(|(known, _)| *known == name)?;
            let (_, value) = found.swap_remove(at);
            (!value.is_empty()).then_some(value)
        };
        let as_text = |name: &str, value: Option<Vec<u8>>| {
            let not_text = |_| E::NotText {
                name: name.to_owned(),
            };
            value
                .map(|value| String::from_utf8(value).map_err(not_text))
                .transpose()
        };
        if let Some(kind) = as_text("type", take("type"))?
            && kind != "private"
        {
            return Err(E::Type { found: kind });
        }
        let module = as_text("module-path", take("module-path"))?.map(PathBuf::from);
        let uri = Self {
            module: module.filter(|path| path.is_absolute()).ok_or(E::Module)?,
            token: as_text("token", take("token"))?,
            serial: as_text("serial", take("serial"))?,
            object: as_text("object", take("object"))?,
            id: take("id"),
        };
        if uri.token.is_none() && uri.serial.is_none() {
            return Err(E::Token);
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(E::Object);
        }
        Ok(uri)
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let pair = [bytes.next()?, bytes.next()?];
        let mut value = [0];
        hex::decode_to_slice(pair, &mut value).ok()?;
        out.push(value[0]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_token_and_object() {
        let text = "pkcs11:token=The%20Software%20PKCS%2311;serial=a1;object=message;id=%01%02;\
                    type=private?module-path=/usr/lib/x.so";
        let uri = TokenUri::parse(text).unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11"));
        assert_eq!(uri.serial.as_deref(), Some("a1"));
        assert_eq!(uri.object.as_deref(), Some("message"));
        assert_eq!(uri.id, Some(vec![1, 2]));
        assert_eq!(uri.module, PathBuf::from("/usr/lib/x.so"));
    }

    #[test]
    fn what_is_missing_doubtful_or_secret_is_refused() {
        use TokenUriError as E;
        let name = |name: &str| name.to_owned();
        let good = "pkcs11:token=t;object=o?module-path=/m.so";
        assert!(TokenUri::parse(good).is_ok());
        for (text, error) in [
            ("keys/message.pem", E::Scheme),
            ("pkcs11:token=t;object=o", E::Module),
            ("pkcs11:token=t;object=o?module-path=m.so", E::Module),
            ("pkcs11:object=o?module-path=/m.so", E::Token),
            ("pkcs11:token=;object=o?module-path=/m.so", E::Token),
            ("pkcs11:token=t?module-path=/m.so", E::Object),
            (
                "pkcs11:token=t;token=u;object=o?module-path=/m.so",
                E::Twice {
                    name: name("token"),
                },
            ),
            (
                "pkcs11:token=t;slot-id=0;object=o?module-path=/m.so",
                E::Unknown {
                    name: name("slot-id"),
                },
            ),
            (
                "pkcs11:token=t;object=o?module-path=/m.so&pin-value=1234",
                E::Pin {
                    name: name("pin-value"),
                },
            ),
            (
                "pkcs11:token=t;object=o?module-path=/m.so&pin-source=/p",
                E::Pin {
                    name: name("pin-source"),
                },
            ),
            (
                "pkcs11:token=t;object=o;type=cert?module-path=/m.so",
                E::Type {
                    found: name("cert"),
                },
            ),
            (
                "pkcs11:token=t;object=%zz?module-path=/m.so",
                E::Malformed {
                    part: name("object=%zz"),
                },
            ),
            (
                "pkcs11:token=t;object?module-path=/m.so",
                E::Malformed {
                    part: name("object"),
                },
            ),
            (
                "pkcs11:token=%ff;object=o?module-path=/m.so",
                E::NotText {
                    name: name("token"),
                },
            ),
        ] {
            assert_eq!(TokenUri::parse(text), Err(error), "{text}");
        }
    }
}
