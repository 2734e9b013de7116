//! The name that somebody may have meant: the nearest within two edits.
//!
//! Only a band of the edit matrix is computed, since names further apart are of no interest: 256
//! declared names of 128 bytes cost a fraction of a millisecond, whatever they are.

const FARTHEST: usize = 2;
const WIDTH: usize = 2 * FARTHEST + 1;
const FAR: usize = usize::MAX / 2;

/// `, did you mean …?`, or nothing.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    // In a short name, two edits make anything of anything.
    let within = (name.len() / 3).min(FARTHEST);
    let distances = known.into_iter().filter_map(|other| {
        let distance = if name.eq_ignore_ascii_case(other) { 0 } else { distance(name.as_bytes(), other.as_bytes()) };
        (distance <= within).then_some((distance, other))
    });
    distances
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, other)| format!(", did you mean `{other}`?"))
}

/// Levenshtein's distance in bytes, or anything above [`FARTHEST`].
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len().abs_diff(b.len()) > FARTHEST {
        return FARTHEST + 1;
    }
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    // `row` holds the distances of a's prefix to those prefixes of b that are at most two longer or
    // shorter: column `k` stands for the prefix of length `i + k - FARTHEST`.
    let mut row = [FAR; WIDTH];
    for (k, cell) in row.iter_mut().enumerate().skip(FARTHEST) {
        *cell = k - FARTHEST;
    }
    for (i, byte) in a.iter().enumerate() {
        #[cfg(test)]
        tests::ROWS.set(tests::ROWS.get() + 1);
        let mut next = [FAR; WIDTH];
        let mut left = FAR;
        for (k, cell) in next.iter_mut().enumerate() {
            let Some(j) = (i + 1 + k).checked_sub(FARTHEST) else { continue };
            if j > b.len() {
                break;
            }
            let replaced = match j.checked_sub(1).and_then(|j| b.get(j)) {
                Some(other) => row.get(k).map_or(FAR, |d| d + usize::from(other != byte)),
                None => FAR,
            };
            let removed = row.get(k + 1).map_or(FAR, |d| d + 1);
            *cell = replaced.min(removed).min(left + 1);
            left = *cell;
        }
        row = next;
        if row.iter().all(|distance| *distance > FARTHEST) {
            return FARTHEST + 1;
        }
    }
    let last = (b.len() + FARTHEST).checked_sub(a.len());
    last.and_then(|k| row.get(k)).copied().unwrap_or(FAR)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::{FARTHEST, did_you_mean, distance};

    thread_local! {
        /// Rows of the band that were filled on this thread: what looking for near names costs.
        pub static ROWS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn the_band_agrees_with_the_whole_matrix() {
        fn slow(a: &[u8], b: &[u8]) -> usize {
            match (a, b) {
                ([], rest) | (rest, []) => rest.len(),
                ([x, a @ ..], [y, b @ ..]) if x == y => slow(a, b),
                ([_, a_rest @ ..], [_, b_rest @ ..]) => {
                    1 + slow(a_rest, b_rest).min(slow(a, b_rest)).min(slow(a_rest, b))
                }
            }
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5_000 {
            let mut word = || (0..random.usize(0..6)).map(|_| random.u8(b'a'..=b'c')).collect::<Vec<_>>();
            let (a, b) = (word(), word());
            assert_eq!(slow(&a, &b).min(FARTHEST + 1), distance(&a, &b).min(FARTHEST + 1), "{a:?} {b:?}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["region", "amount", "id", "due"];
        assert_eq!(did_you_mean("regoin", known), ", did you mean `region`?");
        assert_eq!(did_you_mean("Region", known), ", did you mean `region`?");
        assert_eq!(did_you_mean("dye", known), ", did you mean `due`?");
        assert_eq!(did_you_mean("xx", known), "");
        assert_eq!(did_you_mean("ID", known), ", did you mean `id`?");
        assert_eq!(did_you_mean("country", known), "");
    }
}
