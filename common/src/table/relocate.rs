//! GPT moved
