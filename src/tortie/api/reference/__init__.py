"""The API described from its own tables: fields, limits, defaults and meanings; nothing else imports it early."""
