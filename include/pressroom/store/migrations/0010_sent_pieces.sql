-- What a publication sent is on record in one form: the piece's key, its arguments, and whether it had a time. Posts of
-- missions had a form of their own.

UPDATE publications SET sent = jsonb_build_object(
    'key', content,
    'timed', true,
    'arguments', jsonb_build_object(
        'network', sent -> 'platform',
        'text', sent -> 'parts' -> 0,
        'thread', (sent -> 'parts') - 0,
        'title', coalesce(sent -> 'options' ->> 'title', ''),
        'link', coalesce(sent -> 'options' ->> 'link', sent -> 'options' ->> 'article', ''),
        'board', coalesce(sent -> 'options' ->> 'board', ''),
        'timezone', sent -> 'timezone'))
WHERE sent ? 'platform';
