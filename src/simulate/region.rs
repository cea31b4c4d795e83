//! Region: where the simulated clients live, and how far each is from each node.

use crate::desired::model::Place;

/// A place with clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Region {
    /// Short, as `simulate exec client-<name>` takes it.
    pub(crate) name: &'static str,
    /// Degrees north.
    pub(crate) latitude: f64,
    /// Degrees east.
    pub(crate) longitude: f64,
}

/// Large cities all over the world, the candidates.
const REGIONS: [Region; 16] = [
    region("london", 51.51, -0.13),
    region("new-york", 40.71, -74.01),
    region("mumbai", 19.08, 72.88),
    region("los-angeles", 34.05, -118.24),
    region("berlin", 52.52, 13.40),
    region("dublin", 53.35, -6.26),
    region("chicago", 41.88, -87.63),
    region("tokyo", 35.68, 139.69),
    region("sao-paulo", -23.55, -46.63),
    region("sydney", -33.87, 151.21),
    region("johannesburg", -26.20, 28.05),
    region("singapore", 1.35, 103.82),
    region("dubai", 25.20, 55.27),
    region("madrid", 40.42, -3.70),
    region("nairobi", -1.29, 36.82),
    region("mexico-city", 19.43, -99.13),
];

const fn region(name: &'static str, latitude: f64, longitude: f64) -> Region {
    Region { name, latitude, longitude }
}

/// Beyond this a node is too far away for a city to be called its region, in kilometres.
const NEAR_KM: f64 = 2_000.0;

/// The regions that have a node near, so that different nodes answer in them; the first of all if none has.
pub(crate) fn regions(places: &[&Place]) -> Vec<Region> {
    let near = |region: &&Region| places.iter().any(|place| distance_km(region, place) < NEAR_KM);
    let mut chosen: Vec<Region> = REGIONS.iter().filter(near).copied().collect();
    if chosen.is_empty() {
        chosen.push(REGIONS[0]);
    }
    chosen
}

/// The great-circle distance in kilometres (haversine formula, mean radius of the earth).
pub(crate) fn distance_km(region: &Region, place: &Place) -> f64 {
    let (from, to) = (region.latitude.to_radians(), place.latitude.to_radians());
    let across = (to - from) / 2.0;
    let along = (place.longitude - region.longitude).to_radians() / 2.0;
    let haversine = across.sin().powi(2) + from.cos() * to.cos() * along.sin().powi(2);
    2.0 * 6_371.0 * haversine.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place {
            city: String::new(),
            country: String::new(),
            country_iso: String::new(),
            flag: String::new(),
            location: String::new(),
            latitude,
            longitude,
        }
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let london = REGIONS[0];
        assert!((distance_km(&london, &place(40.71, -74.01)) - 5_570.0).abs() < 20.0, "to New York");
        assert!((distance_km(&london, &place(-33.87, 151.21)) - 16_990.0).abs() < 30.0, "to Sydney");
        assert_eq!(distance_km(&london, &place(51.51, -0.13)), 0.0);
        // Across the date line the short way is taken.
        assert!(distance_km(&region("fiji", -18.0, 179.0), &place(-18.0, -179.0)) < 220.0);
    }

    #[test]
    fn a_region_has_a_node_near_it() {
        let (detroit, pune) = (place(42.33, -83.05), place(18.52, 73.86));
        let names: Vec<_> = regions(&[&detroit, &pune]).iter().map(|region| region.name).collect();
        assert_eq!(names, ["new-york", "mumbai", "chicago"]);
        assert_eq!(
            regions(&[&place(-80.0, 0.0)]).len(),
            1,
            "a node at the pole still has a client somewhere"
        );
    }
}
