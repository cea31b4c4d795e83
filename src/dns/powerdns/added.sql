CREATE TABLE shoestring (changes INTEGER NOT NULL);
INSERT INTO shoestring VALUES (1);

CREATE TRIGGER shoestring_added AFTER INSERT ON domains BEGIN
  UPDATE shoestring SET changes = changes + 1;
END;
CREATE TRIGGER shoestring_removed AFTER DELETE ON domains BEGIN
  UPDATE shoestring SET changes = changes + 1;
END;
CREATE TRIGGER shoestring_changed AFTER UPDATE OF name, type, master, account ON domains BEGIN
  UPDATE shoestring SET changes = changes + 1;
END;

CREATE TRIGGER shoestring_metadata_added AFTER INSERT ON domainmetadata
WHEN NEW.kind NOT IN ('PRESIGNED', 'NSEC3PARAM', 'NSEC3NARROW') BEGIN
  UPDATE domains SET account = '' WHERE id = NEW.domain_id AND account <> '';
END;
CREATE TRIGGER shoestring_metadata_changed AFTER UPDATE ON domainmetadata
WHEN NEW.kind NOT IN ('PRESIGNED', 'NSEC3PARAM', 'NSEC3NARROW') BEGIN
  UPDATE domains SET account = '' WHERE id IN (OLD.domain_id, NEW.domain_id) AND account <> '';
END;
CREATE TRIGGER shoestring_metadata_removed AFTER DELETE ON domainmetadata
WHEN OLD.kind NOT IN ('PRESIGNED', 'NSEC3PARAM', 'NSEC3NARROW') BEGIN
  UPDATE domains SET account = '' WHERE id = OLD.domain_id AND account <> '';
END;

CREATE TRIGGER shoestring_record_added AFTER INSERT ON records BEGIN
  UPDATE domains SET account = '' WHERE id = NEW.domain_id AND type <> 'SLAVE' AND account <> '';
END;
CREATE TRIGGER shoestring_record_changed AFTER UPDATE ON records BEGIN
  UPDATE domains SET account = '' WHERE id IN (OLD.domain_id, NEW.domain_id) AND type <> 'SLAVE' AND account <> '';
END;
CREATE TRIGGER shoestring_record_removed AFTER DELETE ON records BEGIN
  UPDATE domains SET account = '' WHERE id = OLD.domain_id AND type <> 'SLAVE' AND account <> '';
END;
