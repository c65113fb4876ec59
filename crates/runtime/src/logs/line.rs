//! The form of a log: `time stream F|P text`, one for each line of output, in pieces where a line is very long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A longer line is written in pieces of this many bytes.
pub(super) const PIECE_BYTES: usize = 16 * 1024;

/// Writes the whole lines at the front of `data` to `out`, and the rest too if it is the last; how many bytes were taken, and how many lines made.
pub(super) fn format(data: &[u8], last: bool, stream: &str, now: SystemTime, out: &mut Vec<u8>) -> (usize, u64) {
    let time = time(now);
    let mut taken = 0;
    let mut lines = 0;
    let mut add = |text: &[u8], tag: &str| {
        out.extend_from_slice(time.as_bytes());
        for part in [" ", stream, " ", tag, " "] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(text);
        out.push(b'\n');
        lines += 1;
    };
    while taken < data.len() {
        let rest = &data[taken..];
        let piece = &rest[..rest.len().min(PIECE_BYTES + 1)];
        match piece.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                add(&piece[..end], "F");
                taken += end + 1;
            }
            None if rest.len() > PIECE_BYTES => {
                add(&rest[..PIECE_BYTES], "P");
                taken += PIECE_BYTES;
            }
            // A line that never got its end is a part, so that readers give no newline that nobody wrote.
            None if last => {
                add(rest, "P");
                taken = data.len();
            }
            None => break,
        }
    }
    (taken, lines)
}

/// As RFC 3339 has it, with nine digits of a second.
pub(super) fn time(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (year, month, day) = date(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_nanos()
    )
}

/// The date so many days after the first of January 1970; counts in eras of 400 years that begin in March.
pub(super) fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(data: &[u8], last: bool) -> (Vec<String>, usize) {
        let mut out = Vec::new();
        let (taken, _) = format(data, last, "stdout", UNIX_EPOCH, &mut out);
        let text = String::from_utf8(out).expect("text");
        (
            text.lines()
                .map(|line| line.strip_prefix("1970-01-01T00:00:00.000000000Z stdout ").expect("a head").to_owned())
                .collect(),
            taken,
        )
    }

    #[test]
    fn whole_lines_are_taken_and_a_part_waits_for_its_end() {
        assert_eq!(lines(b"a\n\nb", false), (vec!["F a".into(), "F ".into()], 3));
        assert_eq!(lines(b"a\n\nb", true), (vec!["F a".into(), "F ".into(), "P b".into()], 4));
        assert_eq!(lines(b"", true), (vec![], 0));
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let mut data = vec![b'x'; PIECE_BYTES * 2 + 5];
        let (found, taken) = lines(&data, false);
        assert_eq!(found.iter().map(|line| (&line[..1] == "P", line.len() - 2)).collect::<Vec<_>>(), [(true, PIECE_BYTES); 2]);
        assert_eq!(taken, PIECE_BYTES * 2);
        data.push(b'\n');
        assert_eq!(lines(&data, false).0.last().map(String::as_str), Some("F xxxxx"));
        let exact = [vec![b'x'; PIECE_BYTES], vec![b'\n']].concat();
        assert_eq!(lines(&exact, false).0.len(), 1);
    }

    #[test]
    fn a_time_is_written_with_all_its_digits() {
        let of = |seconds| time(UNIX_EPOCH + Duration::new(seconds, 1));
        assert_eq!(of(951_782_400), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(of(1_795_636_800 + 3_723), "2026-11-25T21:02:03.000000001Z");
        assert_eq!(of(4_107_542_399), "2100-02-28T23:59:59.000000001Z");
    }
}
