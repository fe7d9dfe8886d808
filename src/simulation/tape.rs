//! The tape: every choice of a simulated world, one number after the other. 0 is always the dull choice (nothing goes wrong, nobody
//! does anything), so that a failing tape shrinks by cutting pieces out and writing zeros.

/// Choices, drawn from a generator and remembered, or read again.
pub struct Tape {
    given: Vec<u32>,
    at: usize,
    dice: Option<u64>,
    /// What was chosen so far.
    pub drawn: Vec<u32>,
}

impl Tape {
    /// Choices of a generator (splitmix64).
    pub fn seeded(seed: u64) -> Self {
        let dice = Some(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x1234_5678_9abc_def1);
        Tape { given: Vec::new(), at: 0, dice, drawn: Vec::new() }
    }

    /// These choices, and then dull ones.
    pub fn of(given: Vec<u32>) -> Self {
        Tape { given, at: 0, dice: None, drawn: Vec::new() }
    }

    /// A number below `n`.
    pub fn pick(&mut self, n: u32) -> u32 {
        let value = match &mut self.dice {
            Some(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 32) as u32
            }
            None => self.given.get(self.at).copied().unwrap_or(0),
        };
        self.at += 1;
        let value = value % n.max(1);
        self.drawn.push(value);
        value
    }

    /// True about so often in a thousand times.
    pub fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.pick(1000) >= 1000 - permille.min(999)
    }

    /// One of these; the first is the dull one.
    pub fn of_these<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.pick(u32::try_from(things.len()).unwrap_or(u32::MAX)) as usize]
    }
}

/// A smaller tape that still fails: pieces are cut out or made dull as long as `fails` says so, at most `tries` times.
pub fn shrink(tape: &[u32], mut tries: usize, mut fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut best = tape.to_vec();
    while best.last() == Some(&0) {
        best.pop();
    }
    let mut size = (best.len() / 2).max(1);
    loop {
        let mut at = 0;
        while at < best.len() && tries > 0 {
            let end = (at + size).min(best.len());
            let mut shorter = best.clone();
            shorter.drain(at..end);
            tries -= 1;
            if fails(&shorter) {
                best = shorter;
                continue;
            }
            if best[at..end].iter().any(|value| *value != 0) && tries > 0 {
                let mut duller = best.clone();
                duller[at..end].fill(0);
                tries -= 1;
                if fails(&duller) {
                    best = duller;
                }
            }
            at = end;
        }
        if size == 1 || tries == 0 {
            while best.last() == Some(&0) {
                best.pop();
            }
            return best;
        }
        size /= 2;
    }
}

/// A tape as text: remarks after `#`, the number of ticks, the choices; runs of one value as `0*12`.
pub fn to_text(remark: &str, ticks: u32, tape: &[u32]) -> String {
    let mut out: String = remark.lines().map(|line| format!("# {line}\n")).collect();
    out.push_str(&format!("ticks {ticks}\n"));
    let mut words = Vec::new();
    let mut rest = tape;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|value| *value == first).count();
        words.push(if run > 2 { format!("{first}*{run}") } else { vec![first.to_string(); run].join(" ") });
        rest = &rest[run..];
    }
    for line in words.chunks(24) {
        out.push_str(&line.join(" "));
        out.push('\n');
    }
    out
}

/// Reads a tape: the number of ticks, and the choices.
pub fn from_text(text: &str) -> Option<(u32, Vec<u32>)> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let ticks = lines.next()?.strip_prefix("ticks ")?.trim().parse().ok()?;
    let mut tape = Vec::new();
    for word in lines.flat_map(str::split_whitespace) {
        let (value, run) = word.split_once('*').unwrap_or((word, "1"));
        tape.extend(vec![value.parse::<u32>().ok()?; run.parse().ok()?]);
    }
    Some((ticks, tape))
}
