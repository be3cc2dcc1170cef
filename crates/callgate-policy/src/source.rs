//! Policy text: where it comes from, how a file is cut into policies, what is said about a bad one.
//!
//! It must not know what a policy means.

use std::fmt;

/// The three folders of policies, each with one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Forbids that nothing lifts.
    Guardrail,
    /// Forbids that an approval lifts, for one call.
    Approval,
    /// What is allowed at all.
    Permit,
}

impl Tier {
    /// Every tier, the strongest first.
    pub const ALL: &'static [Self] = &[Self::Guardrail, Self::Approval, Self::Permit];

    /// The folder its policies live in.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Guardrail => "guardrails",
            Self::Approval => "approvals",
            Self::Permit => "permits",
        }
    }
}

/// One file of policies.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder it is in.
    pub tier: Tier,
    /// Its file name, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why a bundle cannot be loaded: one of possibly many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: `guardrails/x.cedar`, or `schema`.
    pub source: String,
    /// The line, counted from one, if it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What would mend it, if that is known.
    pub hint: Option<String>,
}

/// `guardrails/x.cedar:12: message (hint: …)`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

/// What is wrong with a policy, before it is known where the policy is.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// The byte within the policy's text, if the trouble is at one.
    pub(crate) at: Option<usize>,
    /// What is wrong.
    pub(crate) message: String,
    /// What would mend it.
    pub(crate) hint: Option<String>,
}

impl Complaint {
    /// A complaint about the whole policy.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), hint: None }
    }

    /// The same with a hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What Cedar says, with its position.
    pub(crate) fn cedar(error: cedar_policy::ffi::DetailedError) -> Self {
        let at = error.source_locations.first().map(|label| label.loc.start);
        Self { at, message: error.message, hint: error.help }
    }
}

/// One policy's text and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// The line of its first token, counted from one.
    pub(crate) line: usize,
    /// From its first token to its semicolon.
    pub(crate) text: &'a str,
}

impl Statement<'_> {
    /// Says where in `source` a complaint about this policy belongs.
    pub(crate) fn problem(&self, source: &Source, complaint: Complaint) -> Problem {
        let before = complaint.at.and_then(|at| self.text.get(..at)).unwrap_or_default();
        let line = self.line + before.matches('\n').count();
        Problem {
            source: format!("{}/{}", source.tier.folder(), source.name),
            line: Some(line),
            message: complaint.message,
            hint: complaint.hint,
        }
    }

    /// How deeply the policy nests: its brackets, and one for every `if`, which nest without.
    pub(crate) fn nesting(&self) -> usize {
        let (mut depth, mut deepest) = (0_usize, 0);
        let mut words = String::with_capacity(self.text.len());
        for (part, _, c) in scan(self.text) {
            let c = if part == Part::Code { c } else { ' ' };
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
            words.push(c);
        }
        let words = words.split(|c: char| !c.is_alphanumeric() && c != '_');
        deepest + words.filter(|word| *word == "if").count()
    }

    /// How many operators there are of which each can be applied to the result of the one before.
    pub(crate) fn steps(&self) -> usize {
        scan(self.text)
            .filter(|(part, _, c)| *part == Part::Code && matches!(c, '.' | '+' | '-' | '*' | '['))
            .count()
    }

    /// The text without comments and with every run of white space as one space: what the bundle's digest covers.
    pub(crate) fn canonical(&self) -> String {
        let mut canonical = String::with_capacity(self.text.len());
        let mut gap = false;
        for (part, _, c) in scan(self.text) {
            let blank = match part {
                Part::Comment => true,
                Part::Code => c.is_whitespace(),
                Part::Quoted => false,
            };
            if !blank {
                if gap && !canonical.is_empty() {
                    canonical.push(' ');
                }
                canonical.push(c);
            }
            gap = blank;
        }
        canonical
    }
}

/// Cuts a file into policies, so that each is parsed alone: one bad policy does not hide the others, and a policy
/// keeps no more than its own text in memory. What follows the last semicolon is a statement too, for the parser to
/// refuse.
pub(crate) fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let (mut line, mut begin) = (1, None);
    for (part, at, c) in scan(text) {
        let token = part != Part::Comment && !(part == Part::Code && c.is_whitespace());
        if token && begin.is_none() {
            begin = Some((at, line));
        }
        if let (Part::Code, ';', Some((from, line))) = (part, c, begin) {
            statements.push(Statement { line, text: text.get(from..=at).unwrap_or_default() });
            begin = None;
        }
        line += usize::from(c == '\n');
    }
    if let Some((from, line)) = begin {
        statements.push(Statement { line, text: text.get(from..).unwrap_or_default() });
    }
    statements
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Quoted,
}

/// Every character with its byte offset and what it is part of, as Cedar's own lexer sees it: strings in double quotes
/// with backslash escapes, comments from `//` to the end of the line. There is nothing else.
fn scan(text: &str) -> impl Iterator<Item = (Part, usize, char)> {
    let mut part = Part::Code;
    let mut escaped = false;
    text.char_indices().map(move |(at, c)| {
        let this = match part {
            Part::Code if c == '"' => Part::Quoted,
            Part::Code if text.get(at..).is_some_and(|rest| rest.starts_with("//")) => {
                Part::Comment
            }
            Part::Comment if c == '\n' || c == '\r' => Part::Code,
            Part::Code | Part::Comment | Part::Quoted => part,
        };
        let closes = part == Part::Quoted && c == '"' && !escaped;
        escaped = part == Part::Quoted && c == '\\' && !escaped;
        part = if closes { Part::Code } else { this };
        (this, at, c)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_at_semicolons_outside_strings_and_comments() {
        let text = "// a; comment\npermit(a); // more;\n\n@x(\"; \\\" // ;\")\nforbid;tail";
        let cut: Vec<_> = statements(text).iter().map(|s| (s.line, s.text)).collect();
        assert_eq!(cut, [(2, "permit(a);"), (4, "@x(\"; \\\" // ;\")\nforbid;"), (5, "tail")]);
        assert!(statements(" // only words\n").is_empty());
    }

    #[test]
    fn nesting_and_steps_are_counted_outside_strings_and_comments() {
        let of = |text| Statement { line: 1, text };
        let policy = of("@a(\"((( if .\") permit(x) when { [if a.b then (c) else d] }; // ((( if");
        assert_eq!((policy.nesting(), policy.steps()), (4, 2));
        assert_eq!((of(")))(").nesting(), of("iffy a.b+c*d-e[f]").steps()), (1, 5));
    }

    #[test]
    fn canonical_text_has_no_comments_and_no_layout_but_keeps_strings() {
        let spread = Statement { line: 1, text: "@id(\"a  // b\")\n  permit ( // why\n x);" };
        assert_eq!(spread.canonical(), "@id(\"a  // b\") permit ( x);");
    }
}
