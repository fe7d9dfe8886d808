//! The data key: what everything at rest is sealed with. It is made once, with the database, and never changes; the database keeps it
//! wrapped, that is, sealed with the encryption key of the installation. Another encryption key wraps it anew, which is one row, however
//! much is sealed.
//!
//! What is sealed opens in its own place only (table, column, row), so that a ciphertext copied elsewhere is refused rather than
//! believed.

use std::fmt;

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use super::{NONCE_LENGTH, Vault, VaultError, derive, parts};

/// Where something sealed lies. It opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// What names the row, and does not change while the row lives.
    pub row: &'a str,
}

/// Opens and seals what is at rest.
#[derive(Clone)]
pub struct DataKey(Aes256GcmSiv);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(‹secret›)")
    }
}

/// The first byte of what is sealed.
const SEALED_VERSION: u8 = 1;
/// Where the wrapped data key lies.
const WRAPPED: Place = Place { table: "settings", column: "value_encrypted", row: "data_key" };

impl DataKey {
    fn from_bytes(bytes: [u8; 32]) -> Self {
        DataKey(Aes256GcmSiv::new(&(*derive::<32>(&Zeroizing::new(bytes), "sealing")).into()))
    }

    /// Seals bytes for one place. The nonce is random: the same bytes sealed twice look different.
    pub fn seal(&self, place: &Place, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).expect("a running system gives random bytes");
        self.seal_with(nonce, place, plain)
    }

    fn seal_with(&self, nonce: [u8; NONCE_LENGTH], place: &Place, plain: &[u8]) -> Vec<u8> {
        let sealed = self
            .0
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &place.associated() })
            .expect("nothing at rest is longer than 64 GiB");
        let mut bytes = Vec::with_capacity(1 + NONCE_LENGTH + sealed.len());
        bytes.push(SEALED_VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`VaultError::Refused`] if it was damaged, sealed elsewhere, or with another key; which of them cannot be told.
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let rest = sealed.strip_prefix(&[SEALED_VERSION]).ok_or(VaultError::Refused)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(VaultError::Refused)?;
        self.0
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: &place.associated() })
            .map_err(|_| VaultError::Refused)
    }
}

impl Vault {
    /// A new data key, wrapped: to be stored before anything is sealed with it.
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`].
    pub fn new_data_key(&self) -> Result<Vec<u8>, VaultError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut bytes[..]).map_err(VaultError::NoRandomness)?;
        Ok(self.wrapper().seal(&WRAPPED, &bytes[..]))
    }

    /// The data key that was wrapped with this installation's encryption key.
    ///
    /// # Errors
    /// [`VaultError::Refused`] if it was wrapped with another.
    pub fn data_key(&self, wrapped: &[u8]) -> Result<DataKey, VaultError> {
        Ok(DataKey::from_bytes(*self.unwrapped(wrapped)?))
    }

    /// The same data key, wrapped for the keys of `to`.
    ///
    /// # Errors
    /// [`VaultError::Refused`] if it was wrapped with another encryption key than ours.
    pub fn rewrapped(&self, wrapped: &[u8], to: &Vault) -> Result<Vec<u8>, VaultError> {
        Ok(to.wrapper().seal(&WRAPPED, &self.unwrapped(wrapped)?[..]))
    }

    fn unwrapped(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let bytes = Zeroizing::new(self.wrapper().open(&WRAPPED, wrapped)?);
        <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| VaultError::Refused)
    }

    fn wrapper(&self) -> DataKey {
        DataKey(self.wrapping.clone())
    }
}

impl Place<'_> {
    fn associated(&self) -> Vec<u8> {
        let Place { table, column, row } = self;
        parts(&["sealed/v1", table, column, row])
    }
}

#[cfg(test)]
mod tests {
    use super::{super::hex, *};

    const PLACE: Place = Place { table: "mirror_events", column: "event_sealed", row: "3/abc" };

    /// Expected values in these tests were computed with Python's `cryptography`.
    fn key() -> DataKey {
        DataKey::from_bytes([1; 32])
    }

    fn bytes(hex: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    #[test]
    fn the_cipher_is_that_of_rfc_8452() {
        // Appendix C.2, AEAD_AES_256_GCM_SIV: eight bytes without and with associated data.
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; 12];
        nonce[0] = 3;
        let cipher = Aes256GcmSiv::new(&key.into());
        let check = |msg: &str, aad: &str, expect: &str| {
            let payload = Payload { msg: &bytes(msg), aad: &bytes(aad) };
            assert_eq!(hex(&cipher.encrypt(&Nonce::from(nonce), payload).unwrap()), expect);
        };
        check("0100000000000000", "", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28");
        check("0200000000000000", "01", "1de22967237a813291213f267e3b452f02d01ae33e4ec854");
    }

    #[test]
    fn sealing_is_a_known_answer() {
        let sealed = key().seal_with(std::array::from_fn(|i| i as u8), &PLACE, b"Kick-off");
        let expect = "01000102030405060708090a0b5da29f63111e8a8b192066385650185fdeb7a71c1a4fa9a9";
        assert_eq!(hex(&sealed), expect);
        assert_eq!(key().open(&PLACE, &sealed).unwrap(), b"Kick-off");
    }

    #[test]
    fn the_same_bytes_sealed_twice_look_different() {
        assert_ne!(key().seal(&PLACE, b"x"), key().seal(&PLACE, b"x"));
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_place_only() {
        let sealed = key().seal(&PLACE, b"Kick-off");
        assert!(key().open(&Place { row: "3/abd", ..PLACE }, &sealed).is_err());
        assert!(key().open(&Place { column: "title", ..PLACE }, &sealed).is_err());
        assert!(key().open(&Place { table: "plans", ..PLACE }, &sealed).is_err());
        // The borders between the three parts count, too.
        assert!(key().open(&Place { column: "event_sealed3", row: "/abc", ..PLACE }, &sealed).is_err());
        assert!(DataKey::from_bytes([3; 32]).open(&PLACE, &sealed).is_err());
    }

    #[test]
    fn a_damaged_ciphertext_is_refused_wherever_the_damage_is() {
        let sealed = key().seal(&PLACE, b"Kick-off");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(key().open(&PLACE, &damaged).is_err(), "byte {at}");
            assert!(key().open(&PLACE, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_data_key_is_unwrapped_by_the_keys_that_wrapped_it_alone() {
        let (one, two) = (Vault::from_keys([1; 32], [2; 32]), Vault::from_keys([9; 32], [2; 32]));
        let wrapped = one.new_data_key().unwrap();
        let sealed = one.data_key(&wrapped).unwrap().seal(&PLACE, b"Kick-off");
        assert!(two.data_key(&wrapped).is_err());
        let again = one.rewrapped(&wrapped, &two).unwrap();
        assert!(one.data_key(&again).is_err() && two.rewrapped(&wrapped, &one).is_err());
        assert_eq!(two.data_key(&again).unwrap().open(&PLACE, &sealed).unwrap(), b"Kick-off");
        assert_ne!(one.new_data_key().unwrap(), wrapped);
        assert_eq!(format!("{:?}", key()), "DataKey(‹secret›)");
    }
}
