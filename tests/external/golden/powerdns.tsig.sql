UPDATE domains SET account = '' WHERE account <> '' AND id IN (SELECT domain_id FROM domainmetadata
  WHERE kind IN ('AXFR-MASTER-TSIG', 'TSIG-ALLOW-AXFR') AND content NOT IN ('one.customer.example', 'two.customer.example', 'hub.example'));
DELETE FROM tsigkeys;
INSERT INTO tsigkeys (name, algorithm, secret) VALUES ('hub.example', 'hmac-sha512', 'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=');
INSERT INTO tsigkeys (name, algorithm, secret) VALUES ('one.customer.example', 'hmac-sha256', 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=');
INSERT INTO tsigkeys (name, algorithm, secret) VALUES ('two.customer.example', 'hmac-sha384', 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=');
