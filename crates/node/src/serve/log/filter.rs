//! From lines of a log file to what was asked for: `TIME STREAM F|P TEXT`.

/// What of each line is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Whether the time stands before each line.
    pub(super) timestamps: bool,
    /// Lines before this time are left out.
    pub(super) since: Option<String>,
    /// One stream alone.
    pub(super) stream: Option<String>,
    /// So many bytes are still wanted.
    pub(super) bytes_left: Option<u64>,
    /// The last piece was part of a line that goes on.
    pub(super) partial: bool,
}

impl Filter {
    /// Whether nothing more is wanted.
    pub(super) fn is_full(&self) -> bool {
        self.bytes_left == Some(0)
    }

    /// Adds what is wanted of a line of the file, without its line feed.
    pub(super) fn take(&mut self, line: &[u8], to: &mut Vec<u8>) {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (Some(time), Some(stream), Some(mark)) = (parts.next(), parts.next(), parts.next()) else { return };
        let text = parts.next().unwrap_or_default();
        if self.stream.as_ref().is_some_and(|wanted| wanted.as_bytes() != stream) || self.is_before(time) {
            return;
        }
        let from = to.len();
        if self.timestamps && !self.partial {
            to.extend_from_slice(time);
            to.push(b' ');
        }
        to.extend_from_slice(text);
        self.partial = mark == b"P";
        if !self.partial {
            to.push(b'\n');
        }
        if let Some(left) = &mut self.bytes_left {
            let added = (to.len() - from) as u64;
            let kept = added.min(*left);
            to.truncate(from + usize::try_from(kept).unwrap_or(0));
            *left -= kept;
        }
    }

    fn is_before(&self, time: &[u8]) -> bool {
        let Some(since) = &self.since else { return false };
        let parsed = |text: &str| text.parse::<jiff::Timestamp>().ok();
        let time = std::str::from_utf8(time).ok().and_then(parsed);
        time.is_some_and(|time| parsed(since).is_some_and(|since| time < since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mut filter: Filter) -> String {
        let lines = [
            "2026-01-01T00:00:00.000000000Z stdout F one",
            "2026-01-01T00:00:01.000000000Z stderr P tw",
            "2026-01-01T00:00:01.500000000Z stderr F o",
            "2026-01-01T00:00:02.000000000Z stdout F ",
        ];
        let mut to = Vec::new();
        for line in lines {
            filter.take(line.as_bytes(), &mut to);
        }
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn lines_are_put_together_and_chosen() {
        assert_eq!(of(Filter::default()), "one\ntwo\n\n");
        assert_eq!(of(Filter { stream: Some("stderr".into()), ..<_>::default() }), "two\n");
        assert_eq!(of(Filter { since: Some("2026-01-01T00:00:02Z".into()), ..<_>::default() }), "\n");
        assert_eq!(of(Filter { bytes_left: Some(5), ..<_>::default() }), "one\nt");
        let timed = of(Filter { timestamps: true, stream: Some("stderr".into()), ..<_>::default() });
        assert_eq!(timed, "2026-01-01T00:00:01.000000000Z two\n");
    }
}
