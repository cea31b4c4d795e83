//! A finding as people see it: message, place, the line it is about, and what to do.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode,
};

use crate::finding::{Finding, Position};
use crate::tree::Tree;

/// Draws findings, with colours or without.
pub(super) struct Snippets(GraphicalReportHandler);

impl Snippets {
    pub(super) fn new(colours: bool) -> Self {
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        Self(
            GraphicalReportHandler::new_themed(theme).with_width(110).with_context_lines(1).with_links(false),
        )
    }

    /// One finding with the line that it is about, as far as the tree has it.
    pub(super) fn render(&self, tree: &Tree, finding: &Finding) -> String {
        self.draw(tree, finding, Severity::Error)
    }

    /// The same for one that refuses nothing.
    pub(super) fn warning(&self, tree: &Tree, finding: &Finding) -> String {
        self.draw(tree, finding, Severity::Warning)
    }

    fn draw(&self, tree: &Tree, finding: &Finding, severity: Severity) -> String {
        // Should somebody have put a value there as it is, it goes no further.
        let is_secret = finding.path.starts_with("secrets/");
        let source = finding.position.filter(|_| !is_secret).and_then(|position| {
            let file = tree.files.get(&*finding.path)?;
            let text = shown(&String::from_utf8_lossy(&file.bytes));
            let span = span(&text, position)?;
            Some((NamedSource::new(shown(&finding.path), text), span))
        });
        let drawn = Drawn { finding, severity, source };
        let mut out = String::new();
        match self.0.render_report(&mut out, &drawn) {
            Ok(()) => out,
            Err(fmt::Error) => format!("{finding}\n"),
        }
    }
}

/// The text with every character that could move a terminal's cursor, or the reader's eye, made visible. Each stays
/// one character, so that columns hold.
fn shown(text: &str) -> String {
    let hidden = |c: char| crate::desired::files::is_deceptive(c) && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// Where the value at a position begins, and how long it is, in bytes.
fn span(text: &str, position: Position) -> Option<(usize, usize)> {
    let (line, column) = (position.line.checked_sub(1)? as usize, position.column.checked_sub(1)? as usize);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let line = text.get(start..)?.split('\n').next()?;
    let (offset, rest) = match line.char_indices().nth(column) {
        Some((offset, _)) => (offset, &line[offset..]),
        None => (line.len(), ""),
    };
    let length = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
        Some(_) => rest.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(rest.len()).max(1),
        None => 0,
    };
    Some((start + offset, length))
}

/// A finding in the shape that miette draws.
#[derive(Debug)]
struct Drawn<'a> {
    finding: &'a Finding,
    severity: Severity,
    source: Option<(NamedSource<String>, (usize, usize))>,
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(_) => f.write_str(&shown(&self.finding.message)),
            // Nothing is drawn below, so the place has to stand here.
            None => {
                let place = Finding { message: String::new(), hint: None, ..self.finding.clone() };
                write!(f, "{place}{}", shown(&self.finding.message))
            }
        }
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|(source, _)| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.source.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::underline(*span))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;

    fn render(text: &str, line: u32, column: u32) -> String {
        let mut tree = Tree::default();
        tree.files.insert("nodes/a.yaml".into(), File { bytes: text.as_bytes().into(), changed: 0 });
        let finding = Finding::new("nodes/a.yaml", Position { line, column }, "what").with_hint("do");
        Snippets::new(false).render(&tree, &finding)
    }

    #[test]
    fn the_value_is_underlined() {
        let drawn = render("dns: nsd\nrouting: quagga # old\nstate: live\n", 2, 10);
        assert!(drawn.contains("[nodes/a.yaml:2:10]"), "{drawn}");
        assert!(drawn.contains("routing: quagga # old"), "{drawn}");
        assert!(drawn.contains("·          ──────\n"), "{drawn}");
        assert!(drawn.contains("help: do"), "{drawn}");
    }

    #[test]
    fn what_a_file_holds_cannot_reach_the_terminal() {
        let drawn = render("a: \u{1b}[31mred\u{202e}\r\n", 1, 4);
        assert!(!drawn.contains(['\u{1b}', '\u{202e}', '\r']), "{drawn:?}");
    }

    #[test]
    fn what_a_secret_holds_is_not_shown() {
        let (mut tree, path) = (Tree::default(), "secrets/transit.age");
        tree.files.insert(path.into(), File { bytes: b"password: hunter2\n"[..].into(), changed: 0 });
        let finding = Finding::new(path, Position { line: 1, column: 1 }, "what").with_hint("do");
        let drawn = Snippets::new(false).render(&tree, &finding);
        assert!(!drawn.contains("hunter2") && drawn.contains("secrets/transit.age:1:1: what"), "{drawn}");
    }

    #[test]
    fn a_position_outside_of_the_text_still_shows_the_finding() {
        for (line, column) in [(9, 9), (1, 99), (0, 0), (u32::MAX, u32::MAX)] {
            assert!(render("a: b\n", line, column).contains("what"));
        }
    }
}
