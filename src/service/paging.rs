//! Pages of lists, and the tokens that lead from one to the next.
//!
//! A token is a position and a digest of everything that it belongs to: the organization's history,
//! the method and the rest of the request. A token of another organization, list or filter, and one
//! made up, does not verify. It holds nothing but a position in a list that its bearer may read, so
//! the digest need not be secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::core::pages::Position;
use crate::core::table::Table;

use super::fields::Fields;
use super::refusal::Refusal;
use super::request::ListRequest;

const DEFAULT_SIZE: usize = 100;
const MAX_SIZE: usize = 1_000;
const TAG_BYTES: usize = 16;
const HASH_BYTES: usize = 8;

/// Which page of which list is asked for.
#[derive(Debug)]
pub struct Page {
    /// How many entries it has at most.
    pub size: usize,
    token: String,
    /// What tells this list from others.
    list: [u8; 32],
}

impl Page {
    /// Takes size and token out of a request whose least revision was taken out already.
    pub fn take<M: ListRequest>(fields: &mut Fields, method: &str, message: &mut M) -> Option<Self> {
        let (size, token) = message.take_page();
        let list = Sha256::new().chain_update(method).chain_update([0]).chain_update(message.encode_to_vec());
        let size = match usize::try_from(size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => {
                fields.refuse("page_size", format_args!("`{size}` is negative"));
                return None;
            }
        };
        Some(Self { size, token, list: list.finalize().into() })
    }

    fn tag(&self, history: &str, position: &[u8]) -> Vec<u8> {
        let tag = Sha256::new()
            .chain_update((history.len() as u64).to_be_bytes())
            .chain_update(history)
            .chain_update(self.list)
            .chain_update(position)
            .finalize();
        tag.iter().copied().take(TAG_BYTES).collect()
    }

    fn open(&self, history: &str) -> Result<Option<Vec<u8>>, Refusal> {
        if self.token.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(&self.token).map_err(|_| Refusal::PageToken)?;
        let (tag, position) = bytes.split_at_checked(TAG_BYTES).ok_or(Refusal::PageToken)?;
        if self.tag(history, position) == tag { Ok(Some(position.to_vec())) } else { Err(Refusal::PageToken) }
    }

    fn seal(&self, history: &str, position: &[u8]) -> String {
        let mut bytes = self.tag(history, position);
        bytes.extend_from_slice(position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in the order of the table to go on from.
    pub fn position(&self, table: &Table) -> Result<Option<Position>, Refusal> {
        let Some(bytes) = self.open(table.history())? else { return Ok(None) };
        let position = bytes.split_first_chunk::<HASH_BYTES>().and_then(|(hash, id)| {
            Some(Position { hash: u64::from_be_bytes(*hash), id: String::from_utf8(id.to_vec()).ok()? })
        });
        position.filter(|p| table.owns(p)).map(Some).ok_or(Refusal::PageToken)
    }

    /// The token for going on after a position in the order of the table.
    pub fn after(&self, table: &Table, next: Option<&Position>) -> String {
        next.map_or_else(String::new, |p| {
            let mut bytes = p.hash.to_be_bytes().to_vec();
            bytes.extend_from_slice(p.id.as_bytes());
            self.seal(table.history(), &bytes)
        })
    }

    /// The place in a numbered list to go on from.
    pub fn number(&self, history: &str) -> Result<Option<u64>, Refusal> {
        let Some(bytes) = self.open(history)? else { return Ok(None) };
        let number = bytes.try_into().map_err(|_| Refusal::PageToken)?;
        Ok(Some(u64::from_be_bytes(number)))
    }

    /// The token for going on from a place in a numbered list.
    pub fn at_number(&self, history: &str, next: Option<u64>) -> String {
        next.map_or_else(String::new, |number| self.seal(history, &number.to_be_bytes()))
    }

    /// The text after which to go on, in a list that is sorted by texts.
    pub fn last(&self, history: &str) -> Result<Option<String>, Refusal> {
        let last = self.open(history)?.map(String::from_utf8);
        last.transpose().map_err(|_| Refusal::PageToken)
    }

    /// The token for going on after a text.
    pub fn token(&self, history: &str, last: &str) -> String {
        self.seal(history, last.as_bytes())
    }

    /// The page of a whole list that is sorted by `name`, and the token of the next one.
    pub fn of_sorted<T>(
        &self,
        history: &str,
        items: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, String), Refusal> {
        let after = self.last(history)?;
        let mut named: Vec<(String, T)> = items.into_iter().map(|item| (name(&item), item)).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut rest = named.into_iter().filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
        let page: Vec<(String, T)> = rest.by_ref().take(self.size).collect();
        let next = match (rest.next(), page.last()) {
            (Some(_), Some((last, _))) => self.seal(history, last.as_bytes()),
            _ => String::new(),
        };
        Ok((page.into_iter().map(|(_, item)| item).collect(), next))
    }
}
