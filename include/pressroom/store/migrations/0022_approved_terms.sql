-- What an approval is for, besides the content: all that decides what targets are sent.

-- Target → settings, link, language. An approval that is on record stands for the site as it is now: what it was like
-- when somebody approved was never kept.
ALTER TABLE contents ADD COLUMN approved_terms jsonb;
UPDATE contents SET approved_terms = coalesce((
    SELECT jsonb_object_agg(
        coalesce(target ->> 'connection', 'pressroom_' || (target ->> 'to')) || '/' || (target ->> 'to'),
        jsonb_build_object(
            'settings', coalesce(target -> 'settings', '{}'),
            'link', coalesce(sites.definition ->> 'url', ''),
            'language', coalesce(sites.definition ->> 'language', 'en')))
    FROM jsonb_array_elements(coalesce(sites.definition #> '{publish,targets}', '[]')) AS target), '{}')
FROM sites
WHERE sites.account_id = contents.account_id AND sites.id = contents.site_id AND contents.approved_hash IS NOT NULL;

-- connection, timezone: as the post's run goes by them.
ALTER TABLE posts ADD COLUMN approved_terms jsonb;
UPDATE posts SET approved_terms = jsonb_build_object(
    'connection', coalesce(terms.definition ->> 'connection', 'pressroom_metricool'),
    'timezone', coalesce(terms.definition #>> '{constraints,timezone}', 'UTC'))
FROM (
    SELECT cycles.account_id, cycles.id AS cycle_id,
        coalesce(runs.definition -> 'workflow', missions.definition) AS definition
    FROM cycles
    JOIN missions ON missions.account_id = cycles.account_id AND missions.id = cycles.mission_id
    LEFT JOIN runs ON runs.account_id = cycles.account_id AND runs.id = cycles.run_id) AS terms
WHERE terms.account_id = posts.account_id AND terms.cycle_id = posts.cycle_id AND posts.approved_hash IS NOT NULL;

-- The steps of the flow that the run went by when the gate was answered.
CREATE VIEW gate_steps AS
SELECT gates.account_id, gates.id AS gate_id,
    coalesce(runs.definition #> '{workflow,steps}', flows.definition -> 'steps') AS steps
FROM gates
JOIN flow_items AS items ON items.account_id = gates.account_id AND items.id = gates.item_id
JOIN flows ON flows.account_id = items.account_id AND flows.id = items.flow_id
LEFT JOIN runs ON runs.account_id = items.account_id AND runs.id = items.run_id;

ALTER TABLE gates ADD COLUMN approved_steps jsonb;
UPDATE gates SET approved_steps = gate_steps.steps
FROM gate_steps
WHERE gate_steps.account_id = gates.account_id AND gate_steps.gate_id = gates.id AND gates.outcome IS NOT NULL;
