//! What a request is called in logs and in `X-Request-Id`: made when somebody asks, or given by a trusted proxy.

use std::{cell::OnceCell, rc::Rc, str};

/// Hexadecimal digits of an id that is made here, as many as nginx has.
const DIGITS: usize = 32;

/// Longest id that is taken over from a trusted proxy.
const LIMIT: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct RequestId {
    given: Option<String>,
    /// Shared with requests within this one, whoever asks for it first.
    own: Rc<OnceCell<[u8; DIGITS]>>,
}

impl RequestId {
    /// For another request.
    pub(crate) fn renew(&mut self) {
        self.given = None;
        match Rc::get_mut(&mut self.own) {
            Some(own) => drop(own.take()),
            None => self.own = Rc::default(),
        }
    }

    /// For a request within this one, which is called the same.
    pub(crate) fn settled(&self) -> Self {
        Self { given: self.given.clone(), own: Rc::clone(&self.own) }
    }

    pub(crate) fn text(&self) -> &str {
        match &self.given {
            Some(id) => id,
            None => str::from_utf8(self.own()).expect("digits are ASCII"),
        }
    }

    /// Takes over a given id, if it is fit for logs.
    pub(crate) fn adopt(&mut self, given: &[u8]) {
        let fit = (1..=LIMIT).contains(&given.len()) && given.iter().all(u8::is_ascii_graphic);
        if let (true, Ok(id)) = (fit, str::from_utf8(given)) {
            self.given = Some(id.to_owned());
        }
    }

    fn own(&self) -> &[u8; DIGITS] {
        self.own.get_or_init(|| {
            let random = fastrand::u128(..);
            std::array::from_fn(|at| b"0123456789abcdef"[(random >> (4 * at) & 15) as usize])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_until_the_next_request_and_a_fit_one_is_taken_over() {
        let mut id = RequestId::default();
        let first = id.text().to_owned();
        assert!(first.len() == DIGITS && first.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!((id.text(), id.settled().text()), (&*first, &*first));
        for unfit in [&b""[..], b"a b", b"a\n", &[b'x'; LIMIT + 1]] {
            id.adopt(unfit);
            assert_eq!(id.text(), first);
        }
        id.adopt(b"given-1");
        assert_eq!(id.text(), "given-1");
        id.renew();
        assert!(id.text() != first && id.text() != "given-1");
    }
}
