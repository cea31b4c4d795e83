-- ours.example
INSERT INTO domains (name, type, master) VALUES ('ours.example', 'NATIVE', '')
  ON CONFLICT (name) DO UPDATE SET type = 'NATIVE', master = '', last_check = NULL;
DELETE FROM domainmetadata WHERE domain_id = (SELECT id FROM domains WHERE name = 'ours.example');
DELETE FROM records WHERE domain_id = (SELECT id FROM domains WHERE name = 'ours.example');
INSERT INTO records (domain_id, name, type, content, ttl, disabled, ordername, auth)
  SELECT id, column1, column2, column3, column4, 0, column5, column6 FROM domains,
  (VALUES ('ours.example', 'SOA', 'ns.ours.example. h.ours.example. 7 2 3 4 5', 300, NULL, 1),
  ('ours.example', 'NS', 'ns.ours.example.', 300, NULL, 1),
  ('a.b.ours.example', 'TXT', '"it''s"', 300, NULL, 1),
  ('ns.ours.example', 'A', '192.0.2.53', 300, NULL, 1),
  ('sub.ours.example', 'NS', 'ns.sub.ours.example.', 300, NULL, 0),
  ('ns.sub.ours.example', 'A', '192.0.2.1', 300, NULL, 0),
  ('w.ours.example', 'TYPE262', '\# 2 0178', 300, NULL, 1),
  ('b.ours.example', NULL, NULL, NULL, NULL, 1)) WHERE domains.name = 'ours.example';
UPDATE domains SET account = 'cb51349f84bdb93571d54a018ce6b823' WHERE name = 'ours.example';
-- edge.example
INSERT INTO domains (name, type, master) VALUES ('edge.example', 'SLAVE', '10.0.0.7:53')
  ON CONFLICT (name) DO UPDATE SET type = 'SLAVE', master = '10.0.0.7:53', last_check = NULL;
DELETE FROM domainmetadata WHERE domain_id = (SELECT id FROM domains WHERE name = 'edge.example') AND kind NOT IN ('PRESIGNED', 'NSEC3PARAM', 'NSEC3NARROW');
INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT id FROM domains WHERE name = 'edge.example'), 'AXFR-SOURCE', '10.0.0.1');
UPDATE domains SET account = 'bce153a25624c2dfd60952b7ba48507c' WHERE name = 'edge.example';
-- hub.example
INSERT INTO domains (name, type, master) VALUES ('hub.example', 'SLAVE', '192.0.2.1:53,192.0.2.2:5353')
  ON CONFLICT (name) DO UPDATE SET type = 'SLAVE', master = '192.0.2.1:53,192.0.2.2:5353', last_check = NULL;
DELETE FROM domainmetadata WHERE domain_id = (SELECT id FROM domains WHERE name = 'hub.example') AND kind NOT IN ('PRESIGNED', 'NSEC3PARAM', 'NSEC3NARROW');
INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT id FROM domains WHERE name = 'hub.example'), 'ALLOW-AXFR-FROM', '10.0.0.2/32');
INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT id FROM domains WHERE name = 'hub.example'), 'ALLOW-AXFR-FROM', 'fd00::/64');
INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT id FROM domains WHERE name = 'hub.example'), 'ALSO-NOTIFY', '10.0.0.2:53');
INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT id FROM domains WHERE name = 'hub.example'), 'AXFR-MASTER-TSIG', 'one.customer.example');
INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT id FROM domains WHERE name = 'hub.example'), 'AXFR-SOURCE', '198.51.100.1');
INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT id FROM domains WHERE name = 'hub.example'), 'TSIG-ALLOW-AXFR', 'hub.example');
UPDATE domains SET account = 'c8b84a826eee0e08942fa0a21cea46e5' WHERE name = 'hub.example';
