//! The options of GRUB's commands.

/// The words of a command, option by option.
pub(super) struct Options<'a> {
    words: std::slice::Iter<'a, String>,
}

impl<'a> Options<'a> {
    pub(super) fn new(words: &'a [String]) -> Self {
        Self { words: words.iter() }
    }

    /// The next word, and the option that it is: its name up to a `=`. Behind a word without `-` options may follow.
    pub(super) fn next(&mut self) -> Option<(Option<&'a str>, &'a str)> {
        let word = self.words.next()?;
        let option =
            (word.starts_with('-') && word.len() > 1).then(|| word.split('=').next().unwrap_or(word));
        Some((option, word))
    }

    /// The value of an option that is `word`: what stands behind its `=`, else the next word, unless that is an option, too.
    pub(super) fn value(&mut self, word: &str) -> Option<String> {
        if let Some((_, value)) = word.split_once('=') {
            return Some(value.to_owned());
        }
        let next = self.words.as_slice().first().filter(|next| !next.starts_with('-'))?;
        self.words.next();
        Some(next.clone())
    }

    /// How many words are left that are no options.
    pub(super) fn plain_left(&self) -> usize {
        self.words.as_slice().iter().filter(|word| !word.starts_with('-')).count()
    }
}
